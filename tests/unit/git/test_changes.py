"""What was changed, as git says: from the push before, or from where a branch left another."""

from pathlib import Path

import pytest

from ci_host.adapters.git.source import GitSource

MAIN, TOPIC = "refs/heads/main", "refs/heads/topic"
HOSTILE = ["a\"b'c", "new\nline", "$(touch x)`id`", "-rf", "ünïcødé", "n" * 200, "a\\tb", "*"]


def changed(world, commit: str, ref: str = MAIN, *, since: str = "", base: str = ""):
    world.mirrors.fetch(world.repo, commit, ref)
    found = GitSource(world.mirrors).changed(world.repo, commit, ref, since=since, base=base)
    return None if found is None else sorted(found)


def test_a_push_changes_what_differs_from_the_commit_before_it(world):
    before = world.commit({"a": "1", "deep/b": "1"})
    world.commit({"a": "2"})
    commit = world.commit({"deep/b": "2", "c": "1"})
    assert changed(world, commit, since=before) == ["a", "c", "deep/b"]


def test_of_a_file_that_was_moved_or_removed_each_name_is_changed(world):
    before = world.commit({"old": "the same\n" * 50, "gone": "1"})
    world.git("mv", "old", "new")
    world.git("rm", "-q", "gone")
    assert changed(world, world.commit(), since=before) == ["gone", "new", "old"]


def test_names_come_as_they_are_and_none_is_an_option_or_a_command(world):
    before = world.commit({"a": "1"})
    commit = world.commit(dict.fromkeys(HOSTILE, "1"))
    assert changed(world, commit, since=before) == sorted(HOSTILE)


def test_a_name_that_is_no_text_is_a_name_all_the_same(world):
    before = world.commit({"a": "1"})
    (Path(world.work) / b"\xff\xfe.bin".decode("utf-8", "surrogateescape")).write_text("1")
    (found,) = changed(world, world.commit(), since=before)
    assert found.encode("utf-8", "surrogateescape") == b"\xff\xfe.bin"


@pytest.mark.parametrize("since", ["", "d" * 40])
def test_a_new_branch_changes_what_it_has_beside_the_default_one(world, since):
    world.commit({"a": "1"})
    world.git("switch", "-q", "-c", "topic")
    commit = world.commit({"b": "1"}, "topic")
    world.git("switch", "-q", "main")
    world.commit({"later": "1"})
    assert changed(world, commit, TOPIC, since=since) == ["b"]


def test_after_a_force_push_all_that_the_branch_has_beside_the_default_one_counts(world):
    world.commit({"a": "1"})
    world.git("switch", "-q", "-c", "topic")
    before = world.commit({"b": "1"}, "topic")
    world.git("reset", "-q", "--hard", "HEAD^")
    commit = world.commit({"c": "1"}, "topic")
    assert changed(world, commit, TOPIC, since=before) == ["c"]


def test_nobody_can_say_what_a_force_push_to_the_default_branch_changed(world):
    world.commit({"a": "1"})
    before = world.commit({"b": "1"})
    commit = world.rewrite()
    assert changed(world, commit, since=before) is None
    assert changed(world, commit, since="") is None


def test_a_branch_that_has_nothing_in_common_cannot_be_compared(world):
    world.commit({"a": "1"})
    world.git("switch", "-q", "--orphan", "topic")
    commit = world.commit({"b": "1"}, "topic")
    assert changed(world, commit, TOPIC) is None


def test_a_pull_request_changes_what_it_has_beside_its_base_and_nothing_of_the_base(world):
    world.commit({"a": "1"})
    world.git("push", "-q", "origin", "HEAD:refs/heads/stable")
    world.git("switch", "-q", "-c", "topic")
    world.commit({"b": "1"}, "topic")
    commit = world.commit({"c": "1"}, "topic")
    world.git("switch", "-q", "main")
    world.commit({"elsewhere": "1"}, "stable")
    ref = "refs/pull/7/head"
    assert changed(world, commit, ref, base="refs/heads/stable") == ["b", "c"]
    assert changed(world, commit, ref, base="refs/heads/none") is None


def test_a_merge_of_the_base_into_a_pull_request_is_none_of_its_changes(world):
    world.commit({"a": "1"})
    world.git("switch", "-q", "-c", "topic")
    world.commit({"b": "1"}, "topic")
    world.git("switch", "-q", "main")
    world.commit({"theirs": "1"})
    world.git("switch", "-q", "topic")
    world.git("merge", "-q", "--no-edit", "main")
    assert changed(world, world.push("topic"), TOPIC, base=MAIN) == ["b"]


def test_a_commits_message_is_read_whole_and_of_no_commit_there_is_none(world):
    world.git("commit", "-q", "--allow-empty", "-m", "One\n\nTwo [skip ci] ü")
    commit = world.push()
    source = GitSource(world.mirrors)
    assert source.message(world.repo, "d" * 40) == ""
    world.mirrors.fetch(world.repo, commit, MAIN)
    assert source.message(world.repo, commit) == "One\n\nTwo [skip ci] ü\n"
