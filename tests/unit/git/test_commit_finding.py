import shutil

import pytest

from ci_host.adapters.git.errors import CommitGone, NameRefused, RepoGone
from ci_host.adapters.git.source import GitSource
from ci_host.ports import SourceRefused

MAIN = "refs/heads/main"


def check(world, name, commit, ref=MAIN):
    """What the name means, and that the mirror holds it with all that it needs."""
    assert world.mirrors.find(world.repo, name, ref) == commit
    assert world.mirrors.has(world.repo, commit)
    world.git("rev-list", "--objects", "--quiet", commit, cwd=world.mirror)


def refuse(world, name, error, *words, ref=MAIN):
    with pytest.raises(error) as caught:
        world.mirrors.find(world.repo, name, ref)
    for word in words:
        assert word in str(caught.value)


# Two messages that were searched for: the commits that have them begin with the same 12 digits.
TWINS = ("00d9311c", "012d8a47")
TWELVE = "6068b95f7e7d"


def twin(world, message: str) -> str:
    """The commit of this message, in the upstream."""
    tree = world.git("mktree", cwd=world.upstream)
    text = f"tree {tree}\n" + "".join(
        f"{who} a <a@b.example> 1700000000 +0000\n" for who in ("author", "committer")
    )
    file = world.folder / message
    file.write_text(f"{text}\n{message}\n")
    return world.git("hash-object", "-t", "commit", "-w", str(file), cwd=world.upstream)


def test_of_two_that_begin_the_same_the_tip_is_meant_or_else_nobody_knows(world):
    one, other = (twin(world, message) for message in TWINS)
    assert one != other and one[:12] == other[:12] == TWELVE
    for branch, commit in (("one", one), ("other", other)):
        world.git("update-ref", f"refs/heads/{branch}", commit, cwd=world.upstream)
        check(world, TWELVE, commit, f"refs/heads/{branch}")
    check(world, TWELVE, one, "refs/heads/one")
    world.commit({"a": "1"})
    refuse(world, TWELVE, NameRefused, f"more than one commit begins with {TWELVE}")


@pytest.mark.parametrize("digits", [12, 13, 39, 40])
def test_the_beginning_of_an_id_is_the_commit_at_the_tip_of_its_branch(world, digits):
    world.commit({"a": "1"})
    commit = world.commit({"a": "2"}, branch="wider")
    check(world, commit[:digits], commit, "refs/heads/wider")


def test_a_commit_is_found_behind_the_tip_when_the_branch_has_moved_on(world):
    first = world.commit({"a": "1"})
    world.commit({"a": "2"})
    check(world, first[:12], first)


def test_what_was_fetched_before_is_found_when_the_branch_is_gone(world):
    commit = world.commit({"a": "1"}, branch="wider")
    world.mirrors.fetch(world.repo, commit, "refs/heads/wider")
    world.git("push", "-q", "origin", ":wider")
    check(world, commit[:12], commit, "refs/heads/wider")


def test_a_commit_that_was_force_pushed_away_or_never_was_is_gone(world):
    old = world.commit({"a": "1"})
    world.rewrite()
    refuse(world, old[:12], CommitGone, old[:12], "refs/heads/main of lock", "Push it again")
    refuse(world, "a" * 12, CommitGone)
    refuse(world, old[:12], CommitGone, ref="refs/heads/nowhere")


def test_an_annotated_tag_is_found_by_its_own_id_and_is_its_commit(world):
    commit = world.commit({"a": "1"})
    world.git("tag", "-a", "-m", "one", "v1")
    world.git("push", "-q", "origin", "v1")
    tag = world.git("rev-parse", "v1")
    assert tag != commit
    check(world, tag, commit, "refs/tags/v1")
    world.commit({"a": "2"})
    check(world, commit, commit, "refs/tags/v1")


def test_a_tag_that_leads_to_no_commit_is_refused(world):
    world.commit({"a": "1"})
    blob = world.git("rev-parse", "HEAD:a")
    world.git("tag", "-a", "-m", "a file", "odd", blob)
    world.git("push", "-q", "origin", "odd")
    refuse(world, world.git("rev-parse", "odd"), CommitGone, ref="refs/tags/odd")


def test_a_tag_that_was_moved_before_it_was_fetched_is_gone(world):
    world.commit({"a": "1"})
    world.git("tag", "-a", "-m", "one", "v1")
    first = world.git("rev-parse", "v1")
    world.git("tag", "-f", "-a", "-m", "two", "v1")
    world.git("push", "-q", "origin", "v1")
    refuse(world, first, CommitGone, "Push it again", ref="refs/tags/v1")


@pytest.mark.parametrize(
    "name", ["", "a" * 11, "0" * 12, "A" * 12, "HEAD", "-" * 12, "a" * 65, "a" * 12 + "\n", "a b"]
)
def test_a_name_that_cannot_be_the_beginning_of_an_id_never_reaches_git(world, name):
    refuse(world, name, NameRefused)
    assert not world.mirror.exists()


@pytest.mark.parametrize("ref", ["", "main", "--upload-pack=id", "refs/heads/a b", "refs/heads/"])
def test_a_text_that_is_no_ref_never_reaches_git(world, ref):
    refuse(world, "a" * 12, NameRefused, ref=ref)


def test_a_repository_that_is_gone_says_so_and_the_port_calls_all_of_it_refused(world):
    commit = world.commit({"a": "1"})
    source = GitSource(world.mirrors)
    assert source.find(world.repo, commit[:12], MAIN) == commit
    with pytest.raises(SourceRefused, match="force-pushed away"):
        source.find(world.repo, "b" * 12, MAIN)
    shutil.rmtree(world.upstream)
    refuse(world, commit[:12], RepoGone, "no repository at")
