"""A key is of one start of one repository, however each of two starts would have begun."""

import asyncio
from dataclasses import replace

import msgspec
import pytest

from ci_host.access import Token
from ci_host.adapters.nats import subjects
from ci_host.api.claimed_keys import Claim, claim
from ci_host.api.starting import Start, start, start_as
from ci_host.engine.asked_again import KeyTaken
from pipelines.bundle import InputTerms, PipelineEntry, Prepared
from pipelines.event import Event, EventKind
from pipelines.ids import Digest
from pipelines.repo import Repo
from pipelines.run import RunState
from pipelines.turn import Pins, Turn
from tests.web.world import Story, World
from webhooks.manual import ManualStart, manual_delivery, manual_id

pytestmark = pytest.mark.anyio

WHO = Token(digest="0" * 64, name="ada")
KEPT, KEPT_TOO, NEW, NEW_TOO = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
BUNDLE = "e" * 64
PINS = Pins(image="image", bundle=BUNDLE, prepared="p", codec=1, boot="native")
TURN = Turn(
    number=1,
    consumed=[1],
    through=1,
    by="e",
    now=1.0,
    digest="d",
    state=RunState.RUNNING,
    pins=PINS,
)


@pytest.fixture
async def shop(world: World) -> World:
    """A repository of which two commits ran before, and a mirror of it at the same forge."""
    mirror = msgspec.structs.replace(
        world.directory.repos["tea/7"], id="tea/8", external_id="8", name="me/mirror"
    )
    world.directory.repos[mirror.id] = mirror
    entry = PipelineEntry(name="pipeline", file=".staunch/pipeline.py", asks=InputTerms(inputs={}))
    prepared = Prepared(bundle=BUNDLE, image="image", code="", pipelines=[entry])
    await world.bundles.put_prepared(Digest(BUNDLE), Digest("image"), msgspec.json.encode(prepared))
    for number, commit in enumerate((KEPT, KEPT_TOO), 1):
        story = await Story(world, number).begin(bundle=BUNDLE, commit=commit)
        await world.history.append_turn(story.run, TURN, after=0)
    return world


def wish(commit: str, **other: str) -> Start:
    return Start(**{"repo": "tea/7", "commit": commit, "key": "one", **other})  # type: ignore[arg-type]


async def refused(world: World, asked: Start, others: str) -> None:
    before = world.history.runs(), list(world.inbox.kept)
    with pytest.raises(KeyTaken, match=f"'one' was used before.* its {others} differed"):
        await start(world.services, WHO, asked)
    assert (world.history.runs(), list(world.inbox.kept)) == before


@pytest.mark.parametrize("first", [KEPT, NEW], ids=["kept code first", "an engine's first"])
@pytest.mark.parametrize("second", [KEPT_TOO, NEW_TOO], ids=["then kept", "then an engine's"])
async def test_a_key_of_a_start_at_another_commit_is_refused(
    shop: World, first: str, second: str
) -> None:
    begun = await start(shop.services, WHO, wish(first))
    await refused(shop, wish(second), "commit")
    await refused(shop, wish(first, pipeline="other"), "pipeline")
    assert await start(shop.services, WHO, wish(first)) == begun
    # With a key of its own it is begun.
    await start(shop.services, WHO, wish(second, key="two"))
    assert len(shop.history.runs()) + len(shop.inbox.kept) == 4


async def test_a_key_of_a_start_by_hand_is_of_no_event(shop: World) -> None:
    settings = msgspec.structs.replace(shop.services.settings, any_event=True)
    services = replace(shop.services, settings=settings)
    await start(services, WHO, wish(KEPT))
    with pytest.raises(KeyTaken, match="its event differed"):
        await start_as(services, WHO, wish(KEPT), {"kind": "push", "ref": "refs/heads/main"})


@pytest.mark.parametrize("commit", [KEPT, NEW])
async def test_what_was_not_begun_after_its_key_was_claimed_is_begun_when_asked_again(
    shop: World, commit: str
) -> None:
    event = Event(kind=EventKind.MANUAL, commit=commit, sender="bob")
    await claim(shop.services, "tea/7", "one", Claim.of(event, "pipeline"))
    (run,) = await start(shop.services, WHO, wish(commit))
    assert run in shop.history.runs() or shop.inbox.kept
    await refused(shop, wish(KEPT_TOO), "commit")


async def test_of_two_starts_with_one_key_at_once_one_is_begun(shop: World) -> None:
    both = (start(shop.services, WHO, wish(commit)) for commit in (KEPT, NEW))
    came = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(one).__name__ for one in came) == ["KeyTaken", "list"]


async def test_what_comes_to_nothing_for_what_was_entered_takes_no_key(shop: World) -> None:
    wrong = replace(wish(KEPT), inputs={"nothing": 1})
    with pytest.raises(Exception, match="nothing"):
        await start(shop.services, WHO, wrong)
    await start(shop.services, WHO, wish(KEPT_TOO))


@pytest.mark.parametrize("commit", [KEPT, NEW])
async def test_a_key_of_a_mirror_is_another_key(shop: World, commit: str) -> None:
    """Also of the same commit; nobody learns that somebody else used theirs."""
    await start(shop.services, WHO, wish(NEW, repo="me/mirror"))
    begun = await start(shop.services, WHO, wish(commit))
    assert await start(shop.services, WHO, wish(commit)) == begun
    asked = [one.body for one in shop.inbox.kept.values()]
    names = [msgspec.json.decode(body, type=ManualStart).external_id for body in asked]
    assert names == (["8"] if commit == KEPT else ["8", "7"])


def of_before(repo: Repo, world: World) -> ManualStart:
    event = Event(kind=EventKind.MANUAL, commit=NEW, sender="bob")
    start = ManualStart(
        external_id=repo.external_id, name=repo.name, event=event, pipeline="pipeline"
    )
    connection = world.directory.connections["tea"]
    delivery = manual_delivery(connection, start, manual_id("one"), world.clock())
    world.inbox.kept["tea", delivery.id] = delivery
    outcome = b'{"connection":"tea","id":"manual-one","state":"started","runs":["1-0"]}'
    world.bus.put(subjects.outcome("tea", delivery.id), outcome)
    return start


async def test_a_start_from_when_keys_were_of_a_connection_is_asked_again(shop: World) -> None:
    of_before(shop.directory.repos["tea/7"], shop)
    assert await start(shop.services, WHO, wish(NEW)) == ["1-0"]
    assert len(shop.inbox.kept) == 1
    await refused(shop, wish(KEPT), "commit")
    # It is not the mirror's.
    await start(shop.services, WHO, wish(NEW_TOO, repo="me/mirror"))
    assert len(shop.inbox.kept) == 2
