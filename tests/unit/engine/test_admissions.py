"""Who judges pull requests: what is asked, what is held, and who may approve what."""

from dataclasses import dataclass, field

import pytest

from ci_host.access import Token
from ci_host.adapters.memory.trust import MemoryPulls, MemoryTrust
from ci_host.engine.admissions import Admissions
from ci_host.engine.people import PersonRefused
from ci_host.ports import SourceRefused, SourceUnavailable
from pipelines.event import Event, EventKind, PullRequest
from pipelines.repo import Repo
from pipelines.trust import Admission, Author, PullFacts, Tier, TrustPolicy
from webhooks.forge import Later, Refused

pytestmark = pytest.mark.anyio

ONE, TWO, MAIN = "1" * 40, "2" * 40, "f" * 40
REPO = Repo(id="hub/1", connection="hub", external_id="1", name="acme/shop", clone_url="/x")
ADMIN = Token(digest="d", name="ada", admin=True)
GRACE = Token(digest="e", name="grace", teams=["ops"])
FORK = PullFacts(
    head_repo="2", base_repo="1", base_ref="main", head_commit=ONE, author=Author.NEWCOMER
)


def event_of(commit: str = ONE, *, is_fork: bool = True) -> Event:
    pull = PullRequest(
        number=7,
        action="opened",
        base_ref="main",
        head_ref="change",
        head_repo="2" if is_fork else "1",
        is_fork=is_fork,
    )
    return Event(
        kind=EventKind.PULL_REQUEST, ref="refs/pull/7/head", commit=commit, pull_request=pull
    )


@dataclass
class Branches:
    """The part of Source that is asked here: branches, and what lies on them."""

    tips: dict[str, str] = field(default_factory=lambda: {"refs/heads/main": MAIN})
    on: set[tuple[str, str]] = field(default_factory=set)

    def tip(self, repo: Repo, ref: str) -> str | None:
        return self.tips.get(ref)

    def is_on(self, repo: Repo, commit: str, ref: str) -> bool:
        return (commit, ref) in self.on


class World:
    def __init__(self) -> None:
        self.store, self.pulls, self.source = MemoryTrust(), MemoryPulls(), Branches()
        self.admissions = Admissions(self.store, self.pulls, self.source, now=lambda: 5.0)


async def test_what_waits_is_kept_with_its_event_and_is_over_when_it_is_approved() -> None:
    world = World()
    world.pulls.told[7] = FORK
    verdict = await world.admissions.of(REPO, event_of())
    assert verdict.is_held
    [held] = await world.admissions.waiting()
    assert (held.commit, held.event, held.verdict) == (ONE, event_of(), verdict)
    assert await world.admissions.approve(REPO, 7, ONE, ADMIN) == held
    assert await world.admissions.waiting() == []
    after = await world.admissions.of(REPO, event_of())
    assert (after.is_held, after.by, after.tier) == (False, "ada", Tier.UNTRUSTED)
    pushed = await world.admissions.of(REPO, event_of(TWO))
    assert pushed.is_held


async def test_whose_pipeline_it_is_that_runs_git_says_at_that_moment() -> None:
    world = World()
    world.pulls.told[7] = PullFacts(
        head_repo="2",
        base_repo="1",
        base_ref="refs/heads/stable",
        head_commit=ONE,
        author=Author.STRANGER,
    )
    with pytest.raises(SourceRefused, match="has no refs/heads/stable"):
        await world.admissions.of(REPO, event_of())
    world.source.tips["refs/heads/stable"] = TWO
    assert (await world.admissions.of(REPO, event_of())).base == TWO


async def test_where_no_forge_can_be_asked_git_says_whether_it_is_the_repositorys_own() -> None:
    world = World()
    ours = event_of(is_fork=False)
    assert (await world.admissions.of(REPO, ours)).is_held
    world.source.on.add((ONE, "refs/heads/change"))
    assert (await world.admissions.of(REPO, ours)).tier is Tier.TRUSTED
    # A fork may have a commit of ours at its head; that makes it no change of ours.
    assert (await world.admissions.of(REPO, event_of())).tier is Tier.UNTRUSTED


async def test_a_payload_that_names_another_commit_than_the_forge_does_is_asked_of_git() -> None:
    world = World()
    world.pulls.told[7] = PullFacts(
        head_repo="1", base_repo="1", base_ref="main", head_commit=ONE, author=Author.MEMBER
    )
    assert (await world.admissions.of(REPO, event_of(is_fork=False))).tier is Tier.TRUSTED
    forged = event_of(TWO, is_fork=False)
    assert (await world.admissions.of(REPO, forged)).tier is Tier.UNTRUSTED
    # One that was pushed there before, and is told of late.
    world.source.on.add((TWO, "refs/heads/change"))
    assert (await world.admissions.of(REPO, forged)).tier is Tier.TRUSTED


async def test_a_forge_that_refuses_makes_nobody_trusted_and_says_why() -> None:
    world = World()
    world.pulls.told[7] = Refused("the forge answered 403: no")
    verdict = await world.admissions.of(REPO, event_of(is_fork=False))
    assert verdict.is_held
    assert verdict.why.endswith("(the forge answered 403: no)")


async def test_a_forge_that_is_away_is_asked_again_and_nothing_is_decided() -> None:
    world = World()
    world.pulls.told[7] = Later("it is away")
    with pytest.raises(SourceUnavailable, match="acme/shop, pull request 7: it is away"):
        await world.admissions.of(REPO, event_of())
    assert await world.admissions.waiting() == []


@pytest.mark.parametrize(
    ("number", "commit", "who", "status"),
    [(8, ONE, ADMIN, 404), (7, TWO, ADMIN, 409), (7, "", ADMIN, 409), (7, ONE, GRACE, 403)],
)
async def test_nobody_approves_what_is_not_theirs_or_not_there(
    number: int, commit: str, who: Token, status: int
) -> None:
    world = World()
    world.pulls.told[7] = FORK
    await world.admissions.of(REPO, event_of())
    with pytest.raises(PersonRefused) as refused:
        await world.admissions.approve(REPO, number, commit, who)
    assert refused.value.status == status
    assert len(await world.admissions.waiting()) == 1


async def test_a_policy_names_who_may_approve_beside_the_administrators() -> None:
    world = World()
    world.pulls.told[7] = FORK
    await world.store.put_policy(TrustPolicy(scope="hub:acme", approvers=["@ops"]))
    await world.admissions.of(REPO, event_of())
    with pytest.raises(PersonRefused, match="administrators do, and @ops"):
        await world.admissions.approve(REPO, 7, ONE, Token(digest="f", name="linus"))
    assert (await world.admissions.approve(REPO, 7, ONE, GRACE)).commit == ONE


async def test_the_explanation_is_the_verdict_that_would_be_given() -> None:
    world = World()
    world.pulls.told[7] = FORK
    told = await world.admissions.explain(REPO, 7)
    assert told.verdict == await world.admissions.of(REPO, event_of())
    await world.store.put_policy(TrustPolicy(newcomers=Admission.OWN))
    assert (await world.admissions.explain(REPO, 7)).verdict.admission is Admission.OWN
    with pytest.raises(PersonRefused, match="the forge says nothing of pull request 9"):
        await world.admissions.explain(REPO, 9)
