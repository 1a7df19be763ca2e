"""Which tests run on one worker, when workers run tests beside each other."""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[1]
CONFTEST = "from tests.workers import *\n"
# Each test notes its worker, in a file that is named as it.
TESTS = """
import os
from pathlib import Path

import pytest

{mark}


@pytest.mark.parametrize("number", range({count}))
def test_one(number):
    noted = Path(__file__).with_name(f"{name}-{{number}}.worker")
    noted.write_text(os.environ["PYTEST_XDIST_WORKER"])
"""
GROUPED = 'pytestmark = pytest.mark.xdist_group("an installation")'
# In the order in which they are given out; the last has tests enough for both workers.
FILES = {"a": (GROUPED, 4), "b": (GROUPED, 4), "c": ("", 40)}


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> dict[str, set[str]]:
    """On which of two workers the tests of each file ran."""
    folder = tmp_path_factory.mktemp("workers")
    (folder / "conftest.py").write_text(CONFTEST)
    for name, (mark, count) in FILES.items():
        text = TESTS.format(name=name, mark=mark, count=count)
        (folder / f"test_{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup"]
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(
        [*command, "--no-loadscope-reorder", "-p", "no:schemathesis", "--rootdir", folder, folder],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = defaultdict(set)
    for noted in folder.glob("*.worker"):
        found[noted.name.partition("-")[0]].add(noted.read_text())
    return found


def test_tests_of_a_group_run_on_one_worker_whatever_file_they_are_in(ran) -> None:
    assert ran["a"] == ran["b"]
    assert len(ran["a"]) == 1


def test_tests_of_a_file_run_on_one_worker_beside_those_of_others(ran) -> None:
    assert len(ran["c"]) == 1
    assert ran["c"] != ran["a"]
