"""The refs of a repository are read as they are, within limits, and by harmless names only."""

import re

import pytest

from ci_host.adapters.git import refs as refs_module
from ci_host.adapters.git.origin import Registered
from ci_host.adapters.git.refs import REFS_BYTES_MAX, GitRefs
from ci_host.ports import SourceRefused, SourceUnavailable
from ci_host.ref_ports import SeenRef


def refs_of(world, repo=None, **options):
    registered = Registered(paths=frozenset({world.upstream}))
    found = GitRefs(world.folder / "mirrors", lambda _: registered, **options)
    return found.refs(repo or world.repo)


def both(commit):
    return SeenRef(commit=commit, object=commit)


def test_an_empty_repository_has_no_refs(world):
    assert refs_of(world) == {}


def test_branches_and_tags_are_read_and_tags_are_peeled(world):
    first = world.commit({"a": "1"})
    second = world.commit({"a": "2"}, "try/this")
    world.git("tag", "light", first)
    world.git("tag", "-a", "-m", "a release", "v1.0", second)
    world.git("push", "-q", "--tags", "origin")
    tag = world.git("rev-parse", "v1.0")
    assert tag != second
    assert refs_of(world) == {
        "refs/heads/main": both(first),
        "refs/heads/try/this": both(second),
        "refs/tags/light": both(first),
        "refs/tags/v1.0": SeenRef(commit=second, object=tag),
    }


def test_what_is_not_shown_is_asked_for_once_more_if_what_it_was_asked_with_was_old(world):
    commit = world.commit({"a": "1"})
    away = world.upstream.with_suffix(".away")
    world.upstream.rename(away)

    def renew(_repo):
        return away.exists() and bool(away.rename(world.upstream))

    assert refs_of(world, renew=renew) == {"refs/heads/main": both(commit)}
    world.upstream.rename(world.folder / "gone")
    with pytest.raises(SourceRefused):
        refs_of(world, renew=renew)


def test_refs_that_are_neither_branch_nor_tag_are_not_read(world):
    commit = world.commit({"a": "1"})
    for ref in ("refs/pull/1/head", "refs/merge-requests/1/head", "refs/notes/commits"):
        world.git("push", "-q", "origin", f"{commit}:{ref}")
    assert refs_of(world) == {"refs/heads/main": both(commit)}


def test_names_that_look_like_something_else_are_names(world):
    commit = world.commit({"a": "1"})
    names = ["-rf", "$(id)", "a'b", 'a"b', "umlaut-ü", "x" * 200, "a&b|c;d"]
    for name in names:
        world.git("push", "-q", "origin", f"{commit}:refs/heads/{name}")
    assert set(refs_of(world)) == {"refs/heads/main", *(f"refs/heads/{name}" for name in names)}


def test_a_name_that_is_not_utf_8_is_left_out(world):
    commit = world.commit({"a": "1"})
    packed = world.upstream / "packed-refs"
    packed.write_bytes(b"%s refs/heads/\xff\xfe\n" % commit.encode())
    assert refs_of(world) == {"refs/heads/main": both(commit)}


def test_as_many_refs_as_the_limit_are_read_and_one_more_is_refused(world, monkeypatch):
    commit = world.commit({"a": "1"})
    monkeypatch.setattr(refs_module, "REFS_MAX", 3)
    for number in (2, 3):
        world.git("push", "-q", "origin", f"{commit}:refs/heads/b{number}")
    assert len(refs_of(world)) == 3
    world.git("push", "-q", "origin", f"{commit}:refs/tags/b4")
    with pytest.raises(
        SourceRefused, match=r"lock has 4 branches and tags; .* more than 3 are not"
    ):
        refs_of(world)


def test_a_list_that_no_message_could_hold_is_refused(world):
    commit = world.commit({"a": "1"})
    lines = (f"{commit} refs/heads/{number}-{'x' * 190}\n" for number in range(13_000))
    (world.upstream / "packed-refs").write_text("".join(lines))
    with pytest.raises(SourceRefused, match=re.escape(f"more than {REFS_BYTES_MAX:,} bytes")):
        refs_of(world)


def test_a_repository_that_is_gone_or_not_registered_is_refused(world):
    gone = world.repo_at(str(world.folder / "gone.git"))
    with pytest.raises(SourceRefused, match="there is no repository"):
        refs_of(world, gone)
    other = world.repo_at(str(world.work / ".git"))
    with pytest.raises(SourceRefused, match="not registered"):
        refs_of(world, other)


def test_a_repository_that_does_not_answer_in_time_is_unavailable(world):
    world.commit({"a": "1"})
    with pytest.raises(SourceUnavailable, match="took longer than"):
        refs_of(world, timeout_s=0.0)
