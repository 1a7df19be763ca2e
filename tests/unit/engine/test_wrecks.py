"""A Run whose History has lost bytes is ended with that reason; nobody else notices."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ci_host.ports import Damaged
from pipelines.events import ChildFinished, PauseRequested, SignalSent
from pipelines.failure import FailureKind
from pipelines.ids import RunId, StepKey, child_id
from pipelines.run import FINAL, RunState
from pipelines.turn import Turn
from tests.engine.world import MemoryWorld, finished, memory_world, output_of, turns_of, until

pytestmark = pytest.mark.anyio

WAITS = """
async def run(event, step):
    first = await step.do("load", lambda: "large")
    said = await step.wait_for_event("go")
    return [first, said]
"""

WORKS = """
async def run(event, step):
    await step.wait_for_event("begin")
    await step.job("build", run="make")
    await step.wait_for_event("go")
"""

CALLS = """
async def run(event, step):
    try:
        return await step.call("deep", "leaf")
    except Exception as error:
        return type(error).__name__
"""

ALONE = """
from staunch import on

on.concurrency("one")


async def run(event, step):
    return await step.wait_for_event("go")
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[MemoryWorld]:
    async with memory_world(tmp_path) as world:
        yield world


async def waiting(world: MemoryWorld, run: RunId, turns: int = 1) -> None:
    """Until the Run has made so many Turns and nothing is owed."""

    async def are_there() -> bool:
        record = await world.history.read(run)
        return len(record.turns) >= turns and not world.history.wakes.owed

    await until(are_there)


async def lose_turn(world: MemoryWorld, run: RunId, number: int) -> None:
    """The store loses a Turn, and the engine that knew it is gone."""
    stored = await world.history.read(run)
    world.history.lose(run, stored.turns[number - 1].sequence)
    await world.restart()


async def tell(world: MemoryWorld, run: RunId, name: str = "go", number: int = 1) -> None:
    await world.history.append_input(run, SignalSent(id=f"{name}{number}", name=name))


async def over(world: MemoryWorld, run: RunId) -> Turn:
    """Its last Turn, once there is one; the newest one may be the one that was lost."""

    async def is_over() -> bool:
        return await world.history.state(run) in FINAL

    await until(is_over)
    last = await world.history.last_turn(run)
    assert last is not None
    return last.turn


async def remains_of(world: MemoryWorld, run: RunId):
    """What can be read of it."""
    with pytest.raises(Damaged) as damage:
        await world.history.read(run)
    assert damage.value.remains is not None
    return damage.value.remains


async def test_a_run_that_lost_a_turn_ends_with_that_reason_when_it_is_told_anything(
    world: MemoryWorld,
) -> None:
    run, other = await world.begin(WAITS), await world.begin(WAITS, "2")
    await waiting(world, run)
    await waiting(world, other)
    await lose_turn(world, run, 1)
    await tell(world, run)
    await tell(world, other)
    end = (await over(world, run)).end
    assert end is not None and end.error is not None
    assert (end.state, end.error.type, end.error.kind) == (
        RunState.FAILED,
        "HistoryDamaged",
        FailureKind.OURS,
    )
    assert run in end.error.message
    assert output_of(await world.ended(other)) == ["large", None]
    await world.settled()
    remains = await remains_of(world, run)
    assert [kept.turn.number for kept in remains.stored.turns] == [2]


async def test_a_run_that_lost_an_input_ends_as_well(world: MemoryWorld) -> None:
    run = await world.begin(WAITS)
    await waiting(world, run)
    await world.restart()
    sequence = await world.history.append_input(run, SignalSent(id="a", name="go"))
    world.history.lose(run, sequence)
    last = await over(world, run)
    assert last.end is not None and last.end.error is not None
    assert last.end.error.type == "HistoryDamaged"
    await world.settled()


async def test_its_jobs_are_cancelled(world: MemoryWorld) -> None:
    run = await world.begin(WORKS)
    await waiting(world, run)
    await tell(world, run, "begin")
    await until(lambda: world.jobs.offers)
    await waiting(world, run, 2)
    await lose_turn(world, run, 1)
    await tell(world, run)
    await over(world, run)
    await world.settled()
    assert list(world.jobs.cancelled) == [finished(run, "build").job]


async def test_whoever_called_it_hears_of_its_end(world: MemoryWorld) -> None:
    run = await world.begin(CALLS, beside={"leaf": WAITS})
    child = child_id(run, StepKey("deep"), 0)
    await until(lambda: child in world.history.runs())
    await waiting(world, child)
    await lose_turn(world, child, 1)
    await tell(world, child)
    assert output_of(await world.ended(run)) == "RunFailed"
    told = [i.input for i in (await world.history.read(run)).inputs]
    assert [one.state for one in told if isinstance(one, ChildFinished)] == [RunState.FAILED]


async def test_its_group_goes_to_the_next(world: MemoryWorld) -> None:
    run = await world.begin(ALONE)
    await waiting(world, run, 2)
    after = await world.begin(ALONE, "2")
    await waiting(world, after)
    await lose_turn(world, run, 1)
    await tell(world, run)
    await over(world, run)
    await tell(world, after)
    assert output_of(await world.ended(after)) is None


async def test_a_paused_run_is_ended_too(world: MemoryWorld) -> None:
    run = await world.begin(WAITS)
    await waiting(world, run)
    await world.history.append_input(run, PauseRequested(id="p", by="ada"))
    await waiting(world, run, 2)
    await lose_turn(world, run, 1)
    await tell(world, run)
    assert (await over(world, run)).state is RunState.FAILED


async def test_a_run_that_is_over_stays_as_it_is_when_its_last_words_are_lost(
    world: MemoryWorld,
) -> None:
    run = await world.begin("async def run(event, step):\n    return 1\n")
    await world.ended(run)
    await world.settled()
    await lose_turn(world, run, 1)
    await tell(world, run)
    await world.settled()
    assert (await remains_of(world, run)).stored.turns == []
    assert await world.history.state(run) is RunState.SUCCEEDED


async def test_an_engine_that_dies_after_the_end_leaves_it_to_the_next(world: MemoryWorld) -> None:
    run = await world.begin(CALLS, beside={"leaf": WAITS})
    child = child_id(run, StepKey("deep"), 0)
    await until(lambda: child in world.history.runs())
    await waiting(world, child)
    await lose_turn(world, child, 1)
    append, dead = world.history.append_input, world.engine
    assert dead is not None

    async def dies(told: RunId, value: object, **how: object) -> int:
        if told == run:
            dead.task.cancel()
            raise ConnectionError("the process is gone")
        return await append(told, value, **how)  # type: ignore[arg-type]

    world.history.append_input = dies  # type: ignore[method-assign,assignment]
    await tell(world, child)
    await until(lambda: dead.task.done())
    world.history.append_input = append  # type: ignore[method-assign]
    await world.restart()
    assert output_of(await world.ended(run)) == "RunFailed"
    remains = await remains_of(world, child)
    assert [kept.turn.number for kept in remains.stored.turns] == [2]


async def test_of_a_run_whose_beginning_is_lost_nothing_is_said_and_nobody_waits(
    world: MemoryWorld,
) -> None:
    run, other = await world.begin(WAITS), await world.begin(WAITS, "2")
    await waiting(world, run)
    stored = await world.history.read(run)
    world.history.lose(run, stored.inputs[0].sequence)
    await world.restart()
    await tell(world, run)
    await tell(world, other)
    assert output_of(await world.ended(other)) == ["large", None]
    await world.settled()
    assert [one.number for one in await turns_of(world.history, other)] == [1, 2]
