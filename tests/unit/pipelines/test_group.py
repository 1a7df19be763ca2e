"""Concurrency groups: whoever is in is in once, the first holds, and nobody is dropped.

Those that wait do so by their priority, among equals in the order of arrival.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.group import MEMBERS_MAX, Group, GroupPolicy, Member
from pipelines.priority import LEVELS, Priority


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


def test_the_most_important_waits_first_and_nobody_passes_the_holder_or_an_equal() -> None:
    found = Group()
    for run, level in [
        ("holder", "low"),
        ("a", "normal"),
        ("b", "high"),
        ("c", "low"),
        ("d", "high"),
        ("e", "urgent"),
        ("f", "normal"),
    ]:
        found = found.entered(run, GroupPolicy.QUEUE, Priority(level))
    assert runs(found) == ["holder", "e", "b", "d", "a", "f", "c"]
    assert runs(found.left("holder")) == ["e", "b", "d", "a", "f", "c"]


def test_who_goes_on_for_another_has_its_place_and_its_priority() -> None:
    found = Group().entered("a", GroupPolicy.QUEUE, Priority.LOW)
    found = found.entered("b", GroupPolicy.QUEUE, Priority.HIGH).handed_over("a", "z")
    assert found.members == [
        Member(run="z", priority=Priority.LOW),
        Member(run="b", priority=Priority.HIGH),
    ]


def test_a_policy_ends_others_whatever_their_priority() -> None:
    full = group("a").entered("b", GroupPolicy.QUEUE, Priority.URGENT)
    found = full.entered("c", GroupPolicy.CANCEL, Priority.LOW)
    assert ousted(found) == {"a": "c", "b": "c"}
    assert [member.priority for member in found.members] == ["normal", "urgent", "low"]


ACTS = st.lists(
    st.tuples(
        st.sampled_from("abcdef"), st.sampled_from(["leave", *GroupPolicy]), st.sampled_from(LEVELS)
    ),
    max_size=30,
)


@given(ACTS)
def test_whatever_happens_members_are_once_in_their_order_and_acts_can_be_repeated(
    acts: list[tuple[str, str, Priority]],
) -> None:
    found = Group()
    for run, act, level in acts:
        before = runs(found)
        if act == "leave":
            found = found.left(run)
            assert found == found.left(run)
            assert runs(found) == [one for one in before if one != run]
        else:
            policy = GroupPolicy(act)
            found = found.entered(run, policy, level)
            assert found == found.entered(run, policy, level)
            assert [one for one in runs(found) if one in before] == before
            assert runs(found)[:1] == before[:1] or not before
            assert found.holds(run) or found.refuses(run, policy)
        assert len(set(runs(found))) == len(found.members)
        waiting = [LEVELS.index(member.priority) for member in found.members[1:]]
        assert waiting == sorted(waiting)
