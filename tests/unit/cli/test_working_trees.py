"""A checkout as a commit: what is in it, and that the checkout does not notice."""

import os
import subprocess
from pathlib import Path

import pytest

from ci_host.cli.client import ClientError
from ci_host.cli.working_tree import Snapshot, snapshot, top_of
from tests.repos import Repo

PIPELINE = {".staunch/pipeline.py": "async def run(event, step): ...\n"}


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A checkout of somebody whom git does not know."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    made = Repo(tmp_path)
    made.write(PIPELINE)
    return made


def taken(repo: Repo, where: Path | None = None) -> tuple[Snapshot, dict[str, str]]:
    """The snapshot, and its files as whoever fetches it gets them."""
    top = where or repo.work
    found = snapshot(top_of(top), repo.bare.parent / f"taken-{top.name}.git")
    clone = repo.bare.parent / f"fetched-{top.name}-{found.commit[:10]}.git"
    git("init", "-q", "--bare", str(clone))
    git("-C", str(clone), "fetch", "-q", f"file://{found.bare}", found.commit)
    listed = git("-C", str(clone), "ls-tree", "-r", "-z", "--name-only", found.commit)
    names = [name for name in listed.split("\0") if name]
    return found, {n: git("-C", str(clone), "cat-file", "-p", f"{found.commit}:{n}") for n in names}


def git(*words: str) -> str:
    """What git prints."""
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def state(top: Path) -> tuple[str, ...]:
    """Of the checkout: index, refs, what git says of it, and how many objects it has."""
    index = git("-C", str(top), "rev-parse", "--path-format=absolute", "--git-path", "index")
    path = Path(index.strip())
    return (
        path.read_bytes().hex() if path.exists() else "none",
        git("-C", str(top), "for-each-ref"),
        # Else it writes the index itself.
        git("--no-optional-locks", "-C", str(top), "status", "--porcelain=v2", "--branch"),
        git("-C", str(top), "count-objects", "-v"),
    )


def test_a_checkout_without_a_commit_has_one_afterwards_and_does_not_know(repo: Repo) -> None:
    before = state(repo.work)
    found, files = taken(repo)
    assert (found.changed, found.ref) == (None, "refs/heads/main")
    assert files == PIPELINE
    assert state(repo.work) == before
    assert git("-C", str(found.bare), "log", "--format=%an %P", found.commit) == "staunch run \n"


def test_changed_new_and_deleted_files_are_as_they_are_now_and_ignored_ones_are_not_there(
    repo: Repo,
) -> None:
    old = {"kept": "1", "changed": "1", "deleted": "1", "staged": "1", ".gitignore": "*.log\n"}
    head = repo.commit(old)
    now = {"changed": "2", "staged": "2", "sub/new": "3", "noise.log": "4", "excluded": "5"}
    repo.write(now)
    (repo.work / ".git/info/exclude").write_text("excluded\n")
    (repo.work / "deleted").unlink()
    repo.git("add", "staged")
    repo.write({"staged": "3"})
    before = state(repo.work)
    found, files = taken(repo, repo.work / "sub")
    wanted = {**PIPELINE, **old, "changed": "2", "staged": "3", "sub/new": "3"}
    assert files == {name: text for name, text in wanted.items() if name != "deleted"}
    assert found.top == repo.work
    assert found.changed == 4
    assert git("-C", str(found.bare), "rev-parse", f"{found.commit}^").strip() == head
    assert state(repo.work) == before


def test_a_checkout_with_nothing_changed_is_its_newest_commit(repo: Repo) -> None:
    head = repo.commit({})
    found, _ = taken(repo)
    assert (found.commit, found.changed) == (head, 0)


def test_a_change_that_keeps_size_and_time_of_the_index_is_seen(repo: Repo) -> None:
    repo.commit({"word": "one"})
    path, index = repo.work / "word", repo.work / ".git/index"
    # Within one tick of the clock: git must look into the file, because the index is not younger.
    os.utime(path, ns=(10**18, 10**18))
    repo.git("add", "-A")
    os.utime(index, ns=(10**18, 10**18))
    path.write_text("two")
    os.utime(path, ns=(10**18, 10**18))
    _, files = taken(repo)
    assert files["word"] == "two"


def test_a_detached_head_has_no_ref(repo: Repo) -> None:
    repo.commit({})
    repo.git("checkout", "-q", "--detach")
    found, files = taken(repo)
    assert (found.ref, files) == ("", PIPELINE)


def test_a_linked_worktree_is_its_own_checkout(repo: Repo) -> None:
    repo.commit({"word": "main"})
    linked = repo.bare.parent / "linked"
    repo.git("worktree", "add", "-q", "-b", "side", str(linked))
    (linked / "word").write_text("side")
    assert (linked / ".git").is_file()
    before = state(linked), state(repo.work)
    found, files = taken(repo, linked)
    assert (found.ref, files["word"]) == ("refs/heads/side", "side")
    assert (state(linked), state(repo.work)) == before


def test_a_submodule_is_its_commit_and_can_be_taken_itself(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Repo(tmp_path / "other", "lib")
    head = other.commit({**PIPELINE, "lib": "1"})
    repo.commit({})
    allow = ("-c", "protocol.file.allow=always")
    repo.git(*allow, "submodule", "add", "-q", str(other.work), "lib")
    inner = repo.work / "lib"
    (inner / "lib").write_text("2")
    before = state(inner), state(repo.work)
    found = snapshot(repo.work, tmp_path / "taken.git")
    said = git("-C", str(found.bare), "ls-tree", found.commit, "lib")
    assert said.split()[:3] == ["160000", "commit", head]
    assert (inner / ".git").is_file()
    _, files = taken(repo, inner)
    assert files == {**PIPELINE, "lib": "2"}
    assert (state(inner), state(repo.work)) == before


def test_a_shallow_checkout_is_taken_without_its_history(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"word": "1"})
    repo.commit({"word": "2"})
    shallow = tmp_path / "shallow"
    git("clone", "-q", "--depth=1", f"file://{repo.work}", str(shallow))
    found, files = taken(repo, shallow)
    assert (found.changed, files["word"]) == (0, "2")
    (shallow / "word").write_text("3")
    assert taken(repo, shallow)[1]["word"] == "3"


def test_the_user_s_hooks_and_filters_are_theirs(repo: Repo, tmp_path: Path) -> None:
    """A filter decides what is in the commit; a hook is told nothing."""
    hook = repo.work / ".git/hooks/post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/told\n")
    hook.chmod(0o755)
    repo.git("config", "filter.upper.clean", "tr a-z A-Z")
    repo.write({".gitattributes": "*.up filter=upper\n", "a.up": "text"})
    _, files = taken(repo)
    assert files["a.up"] == "TEXT"
    assert not (tmp_path / "told").exists()


def test_called_from_a_hook_it_takes_the_checkout_that_was_named(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = Repo(tmp_path / "other")
    other.commit({"word": "theirs"})
    monkeypatch.setenv("GIT_DIR", str(other.work / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.work / ".git/index"))
    found = snapshot(top_of(repo.work), tmp_path / "taken.git")
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    names = git("-C", str(found.bare), "ls-tree", "-r", "--name-only", found.commit)
    assert names.split() == [*PIPELINE]


def test_what_is_no_checkout_is_told(repo: Repo, tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(ClientError) as told:
            snapshot(top_of(path), tmp_path / "never.git")
        assert told.value.exit_code == 4
        return str(told.value)

    assert refused(tmp_path / "gone") == f"there is no directory {tmp_path / 'gone'}"
    assert "make one with `git init`" in refused(tmp_path)
    assert "must be run in a work tree" in refused(repo.bare)
    repo.write({".gitignore": ".staunch\n"})
    assert f"git ignores {repo.work}/.staunch" in refused(repo.work)
    (repo.work / ".staunch/pipeline.py").unlink()
    (repo.work / ".staunch").rmdir()
    assert "add .staunch/pipeline.py or .staunch.py there" in refused(repo.work)


def test_git_s_own_refusal_is_shown(repo: Repo) -> None:
    git("init", "-q", str(repo.work / "empty"))
    with pytest.raises(ClientError, match=r"git add failed in .*\n?.*empty"):
        snapshot(repo.work, repo.bare.parent / "taken.git")
