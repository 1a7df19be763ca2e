"""Every reader of a commit's files keeps the same promises."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_host.adapters.git.commit_files import MirrorFiles
from ci_host.adapters.memory.commit_files import MemoryFiles
from ci_host.ports import Missing
from ci_host.secret_ports import CommitFiles, FileRefused
from pipelines.job import Source
from tests.repos import Repo

PATH = ".staunch/secrets.age"
Made = tuple[CommitFiles, Source]


@pytest.fixture(params=["memory", "git"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[dict[str, str]], Made]:
    def make(files: dict[str, str]) -> Made:
        if request.param == "memory":
            memory = MemoryFiles()
            memory.files["1" * 40] = {path: text.encode() for path, text in files.items()}
            return memory, Source(mirror="/m", commit="1" * 40)
        repo = Repo(tmp_path)
        commit = repo.commit(files, "a change")
        repo.push("main")
        return MirrorFiles(), Source(mirror=str(repo.bare), commit=commit)

    return make


def test_a_file_is_read_as_it_is_at_the_commit(made: Callable[[dict[str, str]], Made]) -> None:
    files, source = made({PATH: "a: b\r\nü\n", "README.md": "x"})
    assert files.read(source, PATH, 100) == "a: b\r\nü\n".encode()
    assert files.read(source, PATH, 9) is not None


def test_without_the_file_there_is_nothing(made: Callable[[dict[str, str]], Made]) -> None:
    files, source = made({"README.md": "x"})
    assert files.read(source, PATH, 100) is None


def test_a_file_over_the_limit_is_refused_with_its_size(
    made: Callable[[dict[str, str]], Made],
) -> None:
    files, source = made({PATH: "x" * 1001})
    with pytest.raises(FileRefused, match="has 1,001 bytes; 1,000 are allowed"):
        files.read(source, PATH, 1000)


def test_a_commit_that_is_not_there_is_missing(made: Callable[[dict[str, str]], Made]) -> None:
    files, source = made({PATH: "x"})
    for commit in ("a" * 40, "--all", "main"):
        with pytest.raises(Missing):
            files.read(Source(mirror=source.mirror, commit=commit), PATH, 100)


@pytest.mark.parametrize("what", ["link", "folder", "linked folder"])
def test_what_is_no_file_in_git_is_refused_or_not_there(tmp_path: Path, what: str) -> None:
    repo = Repo(tmp_path)
    path = repo.work / PATH
    if what == "folder":
        commit = repo.commit({f"{PATH}/inner": "x"}, "a change")
    elif what == "link":
        path.parent.mkdir()
        os.symlink("/etc/hostname", path)
        commit = repo.commit({}, "a change")
    else:
        (repo.work / "real").mkdir()
        os.symlink("real", path.parent)
        commit = repo.commit({"real/secrets.age": "x"}, "a change")
    repo.push("main")
    source = Source(mirror=str(repo.bare), commit=commit)
    if what == "linked folder":
        assert MirrorFiles().read(source, PATH, 100) is None
        return
    with pytest.raises(FileRefused, match="must be a file"):
        MirrorFiles().read(source, PATH, 100)
