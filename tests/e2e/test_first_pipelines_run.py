"""The pipeline that `staunch init` writes, run by `staunch run`, in five small repositories."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repos import Repo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

CHECKOUTS = Path(__file__).parents[1] / "checkouts"
# Where jobs look for programs, and where Go's own installer puts it.
SIGHT = "/usr/local/bin:/usr/bin:/bin:/usr/local/go/bin"
PROGRAM = {"python": "python3", "node": "npm", "go": "go", "rust": "cargo", "java": "javac"}


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="staunch-first-"))
    # Jobs run as users of their own, who must be able to reach what is theirs.
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def staunch(*words: str, cwd: Path, code: int = 0) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STAUNCH_")}
    if "STAUNCH_CACHE_DIR" in os.environ:
        kept["STAUNCH_CACHE_DIR"] = os.environ["STAUNCH_CACHE_DIR"]
    done = subprocess.run(
        [sys.executable, "-m", "ci_host", *words],
        cwd=cwd, env={**kept, "COLUMNS": "160"}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("language", sorted(PROGRAM))
def test_the_first_pipeline_passes_without_an_edit(language: str, folder: Path) -> None:
    if shutil.which(PROGRAM[language], path=SIGHT) is None:
        pytest.skip(f"{PROGRAM[language]} is not where jobs could see it")
    repo = Repo(folder)
    shutil.copytree(CHECKOUTS / language, repo.work, dirs_exist_ok=True)
    assert "wrote .staunch/pipeline.py" in staunch("init", cwd=repo.work)
    staunch("lint", cwd=repo.work)
    run = json.loads(staunch("run", "--json", cwd=repo.work))
    assert run["state"] == "succeeded"
    assert all(one["exit_code"] == 0 for one in run["attempts"]) and run["attempts"]


def test_tests_in_a_folder_that_is_no_package_are_run(folder: Path) -> None:
    repo = Repo(folder)
    test = (CHECKOUTS / "python/tests/test_cart.py").read_text()
    repo.write({"setup.cfg": "", "shop/__init__.py": "", "tests/test_cart.py": test})
    shutil.copy(CHECKOUTS / "python/shop/cart.py", repo.work / "shop")
    repo.git("checkout", "-q", "-b", "add-ci")
    repo.git("branch", "main", repo.commit({}))
    said = staunch("init", cwd=repo.work)
    assert "it runs on pushes to main and on pull requests" in said
    staunch("run", cwd=repo.work)
    repo.write({"tests/test_cart.py": test.replace("15.00", "16.00")})
    assert "FAILED (failures=1)" in staunch("run", cwd=repo.work, code=1)


def test_a_pipeline_that_is_there_is_replaced_only_when_asked_to(folder: Path) -> None:
    repo = Repo(folder)
    shutil.copytree(CHECKOUTS / "java", repo.work, dirs_exist_ok=True)
    own = repo.work / ".staunch" / "pipeline.py"
    own.parent.mkdir()
    own.write_text("# mine\n")
    staunch("init", cwd=repo.work, code=1)
    assert own.read_text() == "# mine\n"
    assert "make check" in staunch("init", "--print", cwd=repo.work)
    assert own.read_text() == "# mine\n"
    staunch("init", "--force", cwd=repo.work)
    assert "make check" in own.read_text()
    staunch("init", cwd=folder, code=4)
