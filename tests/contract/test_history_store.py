"""Every HistoryStore keeps the same promises."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.adapters.nats.history import NatsHistory
from ci_host.ports import Conflict, HistoryStore
from pipelines.event import Event, EventKind
from pipelines.events import RunStarted, SignalSent, TimerFired
from pipelines.ids import RunId, run_id
from pipelines.job import Source
from pipelines.run import RunState
from pipelines.turn import Turn
from tests.engine.world import until
from tests.servers import bus_of, nats_server

pytestmark = pytest.mark.anyio

RUN = run_id("contract")


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[HistoryStore]:
    if request.param == "memory":
        yield MemoryHistory(now=time.time())
        return
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            yield NatsHistory(bus, "life-1")


def first(run: RunId = RUN) -> RunStarted:
    return RunStarted(
        run=run,
        repo="git/1",
        repo_name="demo",
        connection="git",
        pipeline="pipeline",
        file="x.py",
        bundle="0" * 64,
        source=Source(mirror="/nowhere", commit="a" * 40),
        event=Event(kind=EventKind.PUSH, ref="refs/heads/main", commit="a" * 40),
    )


def turn(number: int, through: int = 0) -> Turn:
    return Turn(
        number=number,
        consumed=[],
        through=through,
        by="life-1",
        now=1.0,
        digest="d",
        state=RunState.RUNNING,
    )


def signal(name: str) -> SignalSent:
    return SignalSent(id=name, name=name)


async def test_a_run_is_created_once(store: HistoryStore) -> None:
    assert await store.create(RUN, first()) is True
    assert await store.create(RUN, first()) is False
    assert len((await store.read(RUN)).inputs) == 1


async def test_what_began_a_run_is_told_without_reading_it_all(store: HistoryStore) -> None:
    assert await store.started(RUN) is None
    await store.create(RUN, first())
    await store.append_input(RUN, signal("later"))
    assert await store.started(RUN) == first()


async def test_inputs_come_back_in_order_with_time_and_place(store: HistoryStore) -> None:
    await store.create(RUN, first())
    places = [await store.append_input(RUN, signal(str(n))) for n in range(3)]
    found = await store.inputs_after(RUN, places[0])
    assert [given.sequence for given in found] == places[1:]
    assert [given.input for given in found] == [signal("1"), signal("2")]
    assert found[0].at == pytest.approx(time.time(), abs=60)
    assert await store.inputs_after(RUN, places[0], at_most=1) == found[:1]
    assert await store.inputs_after(RUN, places[0], at_most=3) == found


async def test_runs_do_not_see_each_other(store: HistoryStore) -> None:
    other = run_id("another")
    await store.create(RUN, first())
    await store.create(other, first(other))
    assert [g.input for g in (await store.read(other)).inputs] == [first(other)]


async def test_an_input_can_be_fenced_by_the_newest_one(store: HistoryStore) -> None:
    await store.create(RUN, first())
    newest = (await store.read(RUN)).inputs[-1].sequence
    await store.append_input(RUN, signal("a"), after=newest)
    with pytest.raises(Conflict):
        await store.append_input(RUN, signal("b"), after=newest)


async def test_a_turn_is_refused_unless_it_follows_the_newest(store: HistoryStore) -> None:
    place = await store.append_turn(RUN, turn(1), after=0)
    with pytest.raises(Conflict):
        await store.append_turn(RUN, turn(1), after=0)
    await store.append_turn(RUN, turn(2), after=place)
    last = await store.last_turn(RUN)
    assert last is not None and last.turn.number == 2


async def test_the_first_turn_is_told_apart_from_the_last(store: HistoryStore) -> None:
    assert await store.first_turn(RUN) is None
    await store.create(RUN, first())
    one = await store.append_turn(RUN, turn(1), after=0)
    await store.append_turn(RUN, turn(2), after=one)
    found = await store.first_turn(RUN)
    assert found is not None
    assert (found.sequence, found.turn.number) == (one, 1)


async def test_it_is_known_how_far_the_turns_go(store: HistoryStore) -> None:
    assert await store.turns_through(RUN) == 0
    await store.create(RUN, first())
    assert await store.turns_through(RUN) == 0
    one = await store.append_turn(RUN, turn(1), after=0)
    await store.append_input(RUN, signal("later"))
    assert await store.turns_through(RUN) == one
    two = await store.append_turn(RUN, turn(2), after=one)
    assert await store.turns_through(RUN) == two


async def test_the_last_turn_of_nothing_is_none(store: HistoryStore) -> None:
    assert await store.last_turn(RUN) is None


async def test_many_messages_are_read_whole(store: HistoryStore) -> None:
    await store.create(RUN, first())
    for number in range(1_100):
        await store.append_input(RUN, signal(str(number)))
    assert len((await store.read(RUN)).inputs) == 1_101


async def test_a_past_timer_fires_at_once_and_is_then_gone(store: HistoryStore) -> None:
    due = time.time() - 5
    await store.create(RUN, first())
    await store.arm(RUN, due)
    fired = await until(lambda: _timers(store))
    assert fired == [TimerFired(due=due)]
    assert (await store.read(RUN)).armed is None


async def test_arming_again_replaces_what_was_armed(store: HistoryStore) -> None:
    await store.create(RUN, first())
    await store.arm(RUN, time.time() + 1_000)
    later = time.time() + 2_000
    await store.arm(RUN, later)
    assert (await store.read(RUN)).armed == later


async def test_a_timer_that_fired_can_be_armed_again_within_any_window(store: HistoryStore) -> None:
    """F4: with a message id the second would be acknowledged as a duplicate, and be lost."""
    due = time.time() - 5
    await store.create(RUN, first())
    await store.arm(RUN, due)
    await until(lambda: _timers(store))
    await store.arm(RUN, due)

    async def twice() -> bool:
        return len(await _timers(store)) == 2

    await until(twice)


async def test_a_timer_can_be_disarmed_twice(store: HistoryStore) -> None:
    await store.create(RUN, first())
    await store.arm(RUN, time.time() + 1_000)
    await store.disarm(RUN)
    await store.disarm(RUN)
    assert (await store.read(RUN)).armed is None


async def _timers(store: HistoryStore) -> list[TimerFired]:
    found = (await store.read(RUN)).inputs
    return [given.input for given in found if isinstance(given.input, TimerFired)]
