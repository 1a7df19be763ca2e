"""Whose changes are trusted is said by what the forge signs, and by nothing else."""

import pytest
from msgspec import structs

from pipelines.event import Event, EventKind, PullRequest
from pipelines.trust import Tier, tier_of

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
