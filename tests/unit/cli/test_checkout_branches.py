"""Which branch of a checkout changes are for, and as what it was pushed."""

from pathlib import Path

import pytest

from ci_host.cli.working_tree import default_branch, files_of, pushed_as
from tests.repos import Repo


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    made = Repo(tmp_path)
    made.commit({"a.txt": "1\n"})
    return made


def test_on_a_branch_of_ones_own_changes_are_for_main_and_not_for_it(repo: Repo) -> None:
    repo.git("checkout", "-q", "-b", "add-ci")
    assert default_branch(repo.work) == "main"
    repo.git("branch", "-m", "main", "master")
    assert default_branch(repo.work) == "master"


def test_what_the_remote_calls_its_own_goes_before_every_name(repo: Repo) -> None:
    repo.push("main")
    repo.push("next")
    repo.git("fetch", "-q", "origin")
    repo.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/next")
    assert default_branch(repo.work) == "next"
    # As it stays behind where the branch was renamed there.
    repo.git("update-ref", "-d", "refs/remotes/origin/next")
    assert default_branch(repo.work) == "main"


def test_where_no_branch_has_a_usual_name_it_is_the_remotes_only_one_or_the_one_here(
    repo: Repo,
) -> None:
    repo.git("branch", "-m", "main", "add-ci")
    assert default_branch(repo.work) == "add-ci"
    repo.push("stable")
    repo.git("fetch", "-q", "origin")
    assert default_branch(repo.work) == "stable"
    repo.push("other")
    repo.git("fetch", "-q", "origin")
    assert default_branch(repo.work) == "add-ci"
    repo.git("checkout", "-q", "--detach")
    assert default_branch(repo.work) == "main"


def test_a_branch_that_was_pushed_is_asked_for_by_its_own_name(repo: Repo) -> None:
    repo.push("main")
    repo.git("checkout", "-q", "-b", "feature", "origin/main")
    # Nothing of it was pushed, and what it began from is there.
    assert pushed_as(repo.work) == ["refs/heads/main"]
    repo.push("feature")
    assert pushed_as(repo.work) == ["refs/heads/feature"]
    repo.commit({"a.txt": "2\n"})
    assert pushed_as(repo.work) == ["refs/heads/feature", "refs/heads/main"]


def test_a_branch_that_was_pushed_under_another_name_is_asked_for_by_that(repo: Repo) -> None:
    repo.git("checkout", "-q", "-b", "mine")
    assert pushed_as(repo.work) == ["refs/heads/mine"]
    repo.push("theirs")
    assert pushed_as(repo.work) == ["refs/heads/theirs"]
    repo.git("checkout", "-q", "--detach")
    assert pushed_as(repo.work) == []


def test_files_are_those_of_a_commit_of_everything(repo: Repo) -> None:
    repo.write({".gitignore": "*.jar\n", "w.jar": "", "new/ü.txt": "", "a.txt": "2"})
    assert sorted(files_of(repo.work)) == [".gitignore", "a.txt", "new/ü.txt"]
