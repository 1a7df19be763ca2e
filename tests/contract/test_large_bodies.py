"""Every HistoryStore takes bodies of any size, gives them back, and says what it has lost."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.claims import INLINE_BYTES_MAX, claim_of
from ci_host.adapters.nats.history import NatsHistory
from ci_host.ports import Damaged, HistoryStore
from pipelines.commands import Result, StepKind, StepState
from pipelines.events import RunStarted, SignalSent
from pipelines.ids import RunId, shard_of
from pipelines.run import RunState
from pipelines.turn import Turn
from tests.contract.test_history_store import RUN, first, turn
from tests.servers import bus_of, nats_server

pytestmark = pytest.mark.anyio

MEBIBYTE = 1_048_576
SIZES = [INLINE_BYTES_MAX // 2, INLINE_BYTES_MAX + 1, 10 * MEBIBYTE]


@dataclass(frozen=True)
class World:
    """A store, and how it loses the body of a message."""

    store: HistoryStore
    lose: Callable[[RunId, int], Awaitable[None]]


async def message_at(bus: Bus, run: RunId, sequence: int) -> bytes:
    """The message itself, as it is on the stream."""
    stream = subjects.runs_stream(shard_of(run))
    found = await bus.read(stream, subjects.run_subject(run, ">"), sequence - 1)
    assert found[0].sequence == sequence
    return found[0].body


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "memory":
        memory = MemoryHistory()

        async def forget(run: RunId, sequence: int) -> None:
            memory.lose(run, sequence)

        yield World(memory, forget)
        return
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:

            async def remove(run: RunId, sequence: int) -> None:
                claim = claim_of(await message_at(bus, run, sequence))
                assert claim is not None, "only what is large is elsewhere"
                await bus.purge(subjects.BLOBS, subjects.blob(claim.parts[-1]))

            yield World(NatsHistory(bus, "life-1"), remove)


def long_text(size: int, mark: str = "") -> str:
    """A text that differs from part to part, and has letters of more than one byte."""
    return mark + "".join(f"{number:x}é" for number in range(size // 5))[: size - len(mark)]


def large_turn(number: int, size: int, state: RunState = RunState.RUNNING) -> Turn:
    """A Turn with a result of about this size."""
    value = long_text(size, str(number))
    result = Result(kind=StepKind.DO, key="load", state=StepState.SUCCEEDED, value=value)
    return msgspec.structs.replace(turn(number), results=[result], state=state)


def large_signal(size: int) -> SignalSent:
    """A Signal with a payload of about this size."""
    return SignalSent(id="big", name="big", payload={"text": long_text(size)})


def large_start(size: int) -> RunStarted:
    """The beginning of a Run with inputs of about this size."""
    return msgspec.structs.replace(first(), inputs=[long_text(size)])


@pytest.mark.parametrize("size", SIZES)
async def test_what_is_stored_comes_back_whole_whatever_its_size(world: World, size: int) -> None:
    begun, signal = large_start(size), large_signal(size)
    assert await world.store.create(RUN, begun) is True
    assert await world.store.create(RUN, begun) is False
    place = await world.store.append_input(RUN, signal)
    one = await world.store.append_turn(RUN, large_turn(1, size), after=0)
    two = await world.store.append_turn(RUN, large_turn(2, size), after=one)
    assert await world.store.started(RUN) == begun
    assert [i.input for i in await world.store.inputs_after(RUN, place - 1)] == [signal]
    first_turn, last_turn = await world.store.first_turn(RUN), await world.store.last_turn(RUN)
    assert first_turn is not None and last_turn is not None
    assert (first_turn.sequence, first_turn.turn) == (one, large_turn(1, size))
    assert (last_turn.sequence, last_turn.turn) == (two, large_turn(2, size))
    whole = await world.store.read(RUN)
    assert [given.input for given in whole.inputs] == [begun, signal]
    assert [kept.turn for kept in whole.turns] == [large_turn(1, size), large_turn(2, size)]


async def test_a_turn_that_is_lost_is_told_with_all_that_is_left(world: World) -> None:
    await world.store.create(RUN, first())
    one = await world.store.append_turn(RUN, turn(1), after=0)
    lost = await world.store.append_turn(RUN, large_turn(2, 2 * MEBIBYTE), after=one)
    await world.lose(RUN, lost)
    with pytest.raises(Damaged, match=str(lost)):
        await world.store.last_turn(RUN)
    with pytest.raises(Damaged, match=rf"(?s)(?=.*{RUN})(?=.*\b{lost}\b)") as damage:
        await world.store.read(RUN)
    remains = damage.value.remains
    assert remains is not None
    assert [given.input for given in remains.stored.inputs] == [first()]
    assert [kept.turn.number for kept in remains.stored.turns] == [1]
    assert [(kept.sequence, kept.state) for kept in remains.lost_turns] == [
        (lost, RunState.RUNNING)
    ]


async def test_how_it_stands_with_a_run_is_known_without_its_lost_turn(world: World) -> None:
    assert await world.store.state(RUN) is None
    await world.store.create(RUN, first())
    one = await world.store.append_turn(RUN, turn(1), after=0)
    assert await world.store.state(RUN) is RunState.RUNNING
    ending = large_turn(2, 2 * MEBIBYTE, RunState.SUCCEEDED)
    await world.lose(RUN, await world.store.append_turn(RUN, ending, after=one))
    assert await world.store.state(RUN) is RunState.SUCCEEDED


async def test_an_input_that_is_lost_is_told(world: World) -> None:
    await world.store.create(RUN, first())
    lost = await world.store.append_input(RUN, large_signal(2 * MEBIBYTE))
    later = await world.store.append_input(RUN, SignalSent(id="s", name="s"))
    await world.lose(RUN, lost)
    with pytest.raises(Damaged, match=str(lost)):
        await world.store.inputs_after(RUN, 0)
    with pytest.raises(Damaged) as damage:
        await world.store.read(RUN)
    assert damage.value.remains is not None
    assert [given.sequence for given in damage.value.remains.stored.inputs][1:] == [later]
    assert [given.sequence for given in await world.store.inputs_after(RUN, lost)] == [later]


async def test_a_run_whose_beginning_is_lost_has_no_start(world: World) -> None:
    await world.store.create(RUN, large_start(2 * MEBIBYTE))
    (begun,) = await world.store.inputs_after(RUN, 0)
    await world.lose(RUN, begun.sequence)
    with pytest.raises(Damaged):
        await world.store.started(RUN)
