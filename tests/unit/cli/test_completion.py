"""Completion in a shell: it knows commands whose modules are imported only when asked for."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("typed", "found"),
    [("staunch ca", "cancel"), ("staunch run --ev", "--event"), ("staunch secret rot", "rotate")],
    ids=["command", "option", "below"],
)
def test_what_is_begun_is_completed_in_bash(typed: str, found: str) -> None:
    words = typed.split()
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.argv[0] = 'staunch'; import ci_host.cli as c; c.run_cli()",
        ],
        env={**os.environ, "_STAUNCH_COMPLETE": "complete_bash", **asked},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found in said.stdout.splitlines()
