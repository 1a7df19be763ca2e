"""Concurrency groups: whoever is in is in once, the first holds, and nobody is dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.group import MEMBERS_MAX, Group, GroupPolicy, Member


def group(*runs: str) -> Group:
    return Group(members=[Member(run=run) for run in runs])


def runs(of: Group) -> list[str]:
    return [member.run for member in of.members]


def ousted(of: Group) -> dict[str, str]:
    return {member.run: member.ousted_by for member in of.members if member.ousted_by}


@pytest.mark.parametrize(
    ("policy", "out"),
    [
        (GroupPolicy.QUEUE, {}),
        (GroupPolicy.CANCEL, {"a": "d", "b": "d", "c": "d"}),
        (GroupPolicy.REPLACE, {"b": "d", "c": "d"}),
    ],
)
def test_a_run_comes_last_and_ousts_whom_its_policy_says(
    policy: GroupPolicy, out: dict[str, str]
) -> None:
    found = group("a", "b", "c").entered("d", policy)
    assert runs(found) == ["a", "b", "c", "d"]
    assert ousted(found) == out


def test_a_run_that_rejects_itself_does_not_enter_and_is_told_who_holds_it() -> None:
    full = group("a")
    assert full.entered("b", GroupPolicy.REJECT) == full
    assert full.refuses("b", GroupPolicy.REJECT) == "run a holds it"
    assert runs(Group().entered("b", GroupPolicy.REJECT)) == ["b"]


def test_a_full_group_refuses_and_says_so() -> None:
    full = group(*(f"r{n}" for n in range(MEMBERS_MAX)))
    assert full.entered("late", GroupPolicy.QUEUE) == full
    assert full.refuses("late", GroupPolicy.QUEUE) == "1,000 runs are in it already"
    nearly = full.left("r0")
    assert nearly.entered("late", GroupPolicy.QUEUE).holds("late")


ACTS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from(["leave", *GroupPolicy])), max_size=30
)


@given(ACTS)
def test_whatever_happens_members_are_once_in_their_order_and_acts_can_be_repeated(
    acts: list[tuple[str, str]],
) -> None:
    found = Group()
    for run, act in acts:
        before = runs(found)
        if act == "leave":
            found = found.left(run)
            assert found == found.left(run)
            assert runs(found) == [one for one in before if one != run]
        else:
            policy = GroupPolicy(act)
            found = found.entered(run, policy)
            assert found == found.entered(run, policy)
            assert runs(found)[: len(before)] == before
            assert found.holds(run) or found.refuses(run, policy)
        assert len(set(runs(found))) == len(found.members)
