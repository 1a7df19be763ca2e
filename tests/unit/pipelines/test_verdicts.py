"""Whose changes are trusted is said by what the forge answers, or git, and by nothing else."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from pipelines.event import Event, EventKind, PullRequest
from pipelines.trust import (
    Admission,
    Approval,
    Author,
    PullFacts,
    Tier,
    TrustPolicy,
    decide,
    policy_for,
    scopes_of,
    tier_of,
)

REQUEST = PullRequest(
    number=7,
    action="opened",
    author="owner",
    base_ref="main",
    head_ref="trusted",
    head_repo="1",
)


def of(request: PullRequest | None, kind: EventKind = EventKind.PULL_REQUEST) -> Event:
    return Event(kind=kind, ref="refs/pull/7/head", sender="owner", pull_request=request)


@pytest.mark.parametrize(
    "kind", [EventKind.PUSH, EventKind.TAG, EventKind.MANUAL, EventKind.SCHEDULE]
)
def test_what_came_into_the_repository_itself_is_trusted(kind: EventKind) -> None:
    assert tier_of(of(None, kind)) is Tier.TRUSTED


def test_a_pull_request_from_a_branch_of_the_repository_is_trusted() -> None:
    assert tier_of(of(REQUEST)) is Tier.TRUSTED


@pytest.mark.parametrize(
    "facts", [{"is_fork": True}, {"head_repo": None}, {"is_fork": True, "author": "owner"}]
)
def test_one_from_another_repository_or_from_one_that_is_gone_is_not(facts: dict) -> None:
    assert tier_of(of(structs.replace(REQUEST, **facts))) is Tier.UNTRUSTED


FORK = PullFacts(head_repo="2", base_repo="1", base_ref="main", head_commit="a" * 40)
OURS = structs.replace(FORK, head_repo="1")
APPROVED = Approval(repo="hub/1", number=7, commit="a" * 40, by="ada", at=1.0)


def judged(facts: PullFacts | None, policy: TrustPolicy | None = None, **more):
    given = {"is_in_repo": False, "is_head": facts is not None, "approval": None, **more}
    return decide(facts, policy=policy or TrustPolicy(), **given)


def test_what_lies_in_the_repository_itself_is_trusted_whatever_the_policy_says() -> None:
    strict = TrustPolicy(members=Admission.REFUSE, newcomers=Admission.REFUSE)
    verdict = judged(OURS, strict)
    assert (verdict.tier, verdict.admission) == (Tier.TRUSTED, Admission.TRUST)
    assert judged(None, strict, is_in_repo=True).tier is Tier.TRUSTED


@pytest.mark.parametrize(
    ("author", "admission", "is_held"),
    [
        (Author.MEMBER, Admission.BASE, False),
        (Author.STRANGER, Admission.BASE, False),
        (Author.NEWCOMER, Admission.APPROVAL, True),
        (Author.UNKNOWN, Admission.APPROVAL, True),
    ],
)
def test_by_default_a_strangers_pipeline_never_runs_unread(
    author: Author, admission: Admission, is_held: bool
) -> None:
    verdict = judged(structs.replace(FORK, author=author))
    assert verdict.tier is Tier.UNTRUSTED
    assert (verdict.admission, verdict.is_held) == (admission, is_held)


def test_what_nobody_could_be_asked_about_is_a_newcomers_and_says_why_nobody_was_asked() -> None:
    verdict = judged(None, unasked="the forge answered 403")
    assert verdict.is_held
    assert verdict.why == (
        "its commit is on no branch of this repository, and nobody could be asked who its author"
        " is (the forge answered 403)"
    )


def test_what_the_forge_calls_a_forks_is_a_forks_whatever_git_says() -> None:
    assert judged(FORK, is_in_repo=True).tier is Tier.UNTRUSTED


def test_a_commit_that_is_not_the_head_is_ours_only_where_git_says_so() -> None:
    other = judged(OURS, is_head=False)
    assert other.tier is Tier.UNTRUSTED
    assert "its commit is on no branch of this repository" in other.why
    assert judged(OURS, is_head=False, is_in_repo=True).tier is Tier.TRUSTED


def test_an_approval_opens_what_waits_for_one_and_makes_nothing_trusted() -> None:
    verdict = judged(structs.replace(FORK, author=Author.NEWCOMER), approval=APPROVED)
    assert not verdict.is_held
    assert (verdict.by, verdict.tier) == ("ada", Tier.UNTRUSTED)


def test_an_approval_changes_nothing_where_none_is_asked_for() -> None:
    policy = TrustPolicy(newcomers=Admission.REFUSE)
    verdict = judged(structs.replace(FORK, author=Author.NEWCOMER), policy, approval=APPROVED)
    assert (verdict.admission, verdict.by) == (Admission.REFUSE, "")


@pytest.mark.parametrize(("author", "is_gone"), list(product(Author, (True, False))))
def test_only_a_policy_that_says_so_trusts_what_is_from_elsewhere(
    author: Author, is_gone: bool
) -> None:
    facts = structs.replace(FORK, author=author, head_repo=None if is_gone else "2")
    for admission in Admission:
        policy = TrustPolicy(members=admission, strangers=admission, newcomers=admission)
        wanted = Tier.TRUSTED if admission is Admission.TRUST else Tier.UNTRUSTED
        assert judged(facts, policy).tier is wanted


def test_the_narrowest_policy_counts_and_a_removed_one_does_not() -> None:
    scopes = scopes_of("hub/1", "acme/shop")
    assert scopes == ["hub/1", "hub:acme", "hub", ""]
    policies = [TrustPolicy(scope=scope, approvers=[scope or "all"]) for scope in scopes]
    for at, scope in enumerate(scopes):
        assert policy_for(policies[at:], "hub/1", "acme/shop").scope == scope
    removed = structs.replace(policies[0], removed=True)
    assert policy_for([removed, *policies[1:]], "hub/1", "acme/shop").scope == "hub:acme"
    assert policy_for([], "hub/1", "acme/shop") == TrustPolicy()


@given(st.text(), st.text())
def test_no_name_of_a_repository_makes_it_one_of_another_connection(repo: str, name: str) -> None:
    found = scopes_of(f"hub/{repo}", name)
    assert found[0] == f"hub/{repo}"
    assert all(one in ("hub", "") or one.startswith(("hub/", "hub:")) for one in found)
