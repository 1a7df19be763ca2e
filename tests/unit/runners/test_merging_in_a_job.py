"""What docs/guide/forges.md has a job do to test a pull request as it would be when merged: its
commands, as they stand there, in a checkout as jobs get it."""

import ast
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from runners.steps import CHECKOUT_SCRIPT
from tests.repos import Repo

PAGE = Path(__file__).parents[3] / "docs/guide/forges.md"


def commands() -> list[str]:
    """Those of the page's job."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    calls = [node for node in ast.walk(ast.parse(example)) if isinstance(node, ast.Call)]
    (run,) = [one.value for call in calls for one in call.keywords if one.arg == "run"]
    return list(ast.literal_eval(run))


class Job:
    """A pull request, its base that has gone on since, and a mirror that does not know that."""

    def __init__(self, folder: Path, *, ours: dict[str, str], theirs: dict[str, str]) -> None:
        self.repo, self.workspace = Repo(folder), folder / "workspace"
        self.summary = folder / "summary.md"
        self.workspace.mkdir()
        self.repo.commit({"Makefile": "test:\n\tcat *.txt > made\n", "a.txt": "a\n"})
        self.repo.push()
        self.head = self.repo.commit(ours, "the change")
        mirror = folder / "mirror.git"
        self.repo.git("clone", "-q", "--bare", str(self.repo.work), str(mirror))
        self.repo.git("checkout", "-q", "HEAD~1")
        self.repo.commit(theirs, "meanwhile")
        self.repo.push()
        # The job's, and nobody else's: no identity of whoever runs the tests.
        self.env: dict[str, Any] = {
            "PATH": os.environ["PATH"], "HOME": str(self.workspace), "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "STAUNCH_MIRROR": str(mirror), "STAUNCH_COMMIT": self.head,
            "STAUNCH_SUMMARY": str(self.summary),
            "FROM": str(self.repo.bare), "BASE": "main",
        }  # fmt: skip

    def run(self) -> int:
        """How the first command that failed ended, or 0."""
        for command in [CHECKOUT_SCRIPT, *commands()]:
            done = subprocess.run(
                ["/bin/sh", "-e", "-c", command], cwd=self.workspace, env=self.env, check=False
            )
            if done.returncode:
                return done.returncode
        return 0


def test_what_is_tested_is_both_sides_together(tmp_path: Path) -> None:
    job = Job(tmp_path, ours={"b.txt": "b\n"}, theirs={"c.txt": "c\n"})
    assert job.run() == 0
    assert (job.workspace / "made").read_text() == "a\nb\nc\n"
    assert not job.summary.exists()


def test_a_conflict_fails_the_job_with_the_files_that_conflict(tmp_path: Path) -> None:
    job = Job(tmp_path, ours={"a.txt": "ours\n"}, theirs={"a.txt": "theirs\n"})
    assert job.run() == 1
    assert job.summary.read_text() == "It does not merge into main:\n- `a.txt`\n"
    assert not (job.workspace / "made").exists()
