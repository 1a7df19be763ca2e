"""What every Inbox must do. An adapter takes part by being a parameter of `inbox`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.consumer import Consumer, ConsumerRule, NatsQueue
from ci_host.adapters.nats.stores import NatsInbox, encode_delivery
from ci_host.adapters.nats.streams import StreamRule, config_of, ensure_streams, rules
from ci_host.bootstrap.intake import deliveries_of
from pipelines.repo import Delivery, ForgeKind
from tests.engine.world import until
from tests.servers import SHARDS, bus_of, nats_server
from webhooks.errors import InboxUnavailable
from webhooks.inbox import Inbox, Recorded
from webhooks.memory import MemoryInbox

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Place:
    """An Inbox, and how to take away what it keeps things in."""

    inbox: Inbox
    break_down: Callable[[], None]


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "memory":
        memory = MemoryInbox()
        yield Place(memory, lambda: setattr(memory, "available", False))
        return
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            yield Place(NatsInbox(bus), server.kill)


@pytest.fixture
def inbox(place: Place) -> Inbox:
    return place.inbox


def delivery(**changes) -> Delivery:
    facts = {"connection": "c", "id": "d-1", "kind": ForgeKind.GITHUB, "event": "push"}
    return Delivery(**{**facts, "received_at": 1.0, "body": "{}", **changes})


async def test_a_delivery_is_recorded_once(inbox):
    assert await inbox.record(delivery()) is Recorded.RECORDED
    assert await inbox.record(delivery()) is Recorded.DUPLICATE
    assert await inbox.record(delivery(body='{"other": 1}')) is Recorded.DUPLICATE


async def test_another_id_or_connection_is_another_delivery(inbox):
    names = ["d.1", "d 1", "d*", "d>", "D-1", "é" * 100, "/srv/git/x.git"]
    for name in names:
        assert await inbox.record(delivery(id=name)) is Recorded.RECORDED
        assert await inbox.record(delivery(id=name, connection="b")) is Recorded.RECORDED


async def test_of_many_at_once_exactly_one_is_recorded(inbox):
    answers = await asyncio.gather(*(inbox.record(delivery()) for _ in range(20)))
    assert answers.count(Recorded.RECORDED) == 1


async def test_a_payload_at_the_cap_of_the_routes_is_recorded(inbox):
    body = '{"commits": [' + ",".join(['{"message": "a commit like many others"}'] * 600_000) + "]}"
    assert 24_000_000 < len(body) < 25 * 1024 * 1024
    assert await inbox.record(delivery(body=body)) is Recorded.RECORDED


async def test_what_cannot_be_kept_is_said_and_never_taken_for_kept(place):
    await place.inbox.record(delivery())
    place.break_down()
    both = (place.inbox.record(delivery(id="d-2")), place.inbox.record(delivery()))
    for answer in await asyncio.gather(*both, return_exceptions=True):
        assert isinstance(answer, InboxUnavailable)


@pytest.mark.nats
async def test_what_was_recorded_is_there_as_it_came_after_the_server_was_killed(tmp_path):
    came = [delivery(), delivery(id="d-2", body='{"é": "' + "x" * 300_000 + '"}')]
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            for one in came:
                assert await NatsInbox(bus).record(one) is Recorded.RECORDED
            server.kill()
    with nats_server(tmp_path) as server:
        async with bus_of(server, streams=False) as bus:
            inbox = NatsInbox(bus)
            for one in came:
                assert await inbox.get("c", one.id) == one
                assert await inbox.record(one) is Recorded.DUPLICATE
            assert await inbox.get("c", "d-3") is None


async def taken(bus: Bus, count: int) -> list[Delivery]:
    """So many deliveries as the engine gets them, from every lane."""
    found: list[Delivery] = []

    async def follow(queue: NatsQueue[Delivery]) -> None:
        async for owed in queue:
            found.append(owed.item)
            await owed.done()

    tasks = [asyncio.create_task(follow(queue)) for queue in deliveries_of(bus)]
    try:
        await until(lambda: len(found) >= count)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return sorted(found, key=lambda one: one.id)


@pytest.mark.nats
async def test_deliveries_of_one_connection_wait_in_every_lane_and_each_is_taken_once(tmp_path):
    came = [delivery(id=f"d-{number:02}") for number in range(40)]
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            await asyncio.gather(*map(NatsInbox(bus).record, came))
            lanes = [subjects.intake_stream(lane) for lane in range(subjects.INTAKE_LANES)]
            counts = [await bus.newest_sequence(lane) for lane in lanes]
            assert min(counts) > 0 and sum(counts) == 40
            assert await taken(bus, 40) == came


@pytest.mark.nats
async def test_what_an_older_staunch_recorded_in_its_one_lane_is_found_and_taken(tmp_path):
    came = [delivery(id=f"d-{number}") for number in range(8)]
    rule = StreamRule(subjects.intake_stream(0), ("intake.>",))
    with nats_server(tmp_path) as server:
        async with bus_of(server, streams=False) as bus:
            await bus.js.add_stream(config_of(rule))
            await Consumer(bus, ConsumerRule(rule.name, "trigger", rule.subjects)).ensure()
            for one in came:
                _, subject = subjects.first_lane(one.connection, one.id)
                await bus.put_once(subject, encode_delivery(one))
            await ensure_streams(bus.js, SHARDS)
            for one in came:
                assert await NatsInbox(bus).get(one.connection, one.id) == one
            newer = delivery(id="d-8")
            assert await NatsInbox(bus).record(newer) is Recorded.RECORDED
            assert await taken(bus, 9) == [*came, newer]


@pytest.mark.nats
async def test_a_stream_that_is_there_gives_a_subject_up_before_a_newer_one_takes_it(tmp_path):
    older = StreamRule(subjects.HOST, ("host.>", subjects.intake_subjects(0), "outcome.>"))
    with nats_server(tmp_path) as server:
        async with bus_of(server, streams=False) as bus:
            await bus.js.add_stream(config_of(older))
            await ensure_streams(bus.js, SHARDS)
            for one in rules(SHARDS):
                held = (await bus.js.stream_info(one.name)).config.subjects
                assert tuple(held) == one.subjects


async def test_it_counts_what_was_ever_recorded_and_each_once(inbox):
    assert await inbox.count() == 0
    for identity in ("d-1", "d-2", "d-1"):
        await inbox.record(delivery(id=identity))
    assert await inbox.count() == 2


async def test_one_that_is_away_says_so_when_it_is_asked_for_its_count(place):
    place.break_down()
    with pytest.raises(InboxUnavailable):
        await place.inbox.count()
