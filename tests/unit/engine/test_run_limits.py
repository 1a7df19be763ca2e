"""A Run that goes over a limit is warned of before, ends with a reason, and loses nothing."""

import asyncio

import pytest
from structlog.testing import capture_logs

from ci_host.engine.batches import EVENTS_TURN_MAX
from pipelines import near_limits
from pipelines.codec import encode_input, encode_turn
from pipelines.events import KillRequested, PauseRequested, ResumeRequested
from pipelines.failure import FailureKind
from pipelines.guest.limits import EVENTS_RUN_MAX
from pipelines.ids import RunId
from pipelines.run import RunState
from tests.engine.plans import go
from tests.engine.world import MemoryWorld, finished, memory_world, turns_of, until, waiting

pytestmark = pytest.mark.anyio

PATIENCE_S = 120.0

WAITS = """
async def run(event, step):
    return await step.wait_for_event("never")
"""
TAKES = """
async def run(event, step):
    while True:
        await step.wait_for_event("go")
"""


@pytest.fixture
async def world(tmp_path):
    async with memory_world(tmp_path) as made:
        yield made


async def stopped(world: MemoryWorld) -> None:
    assert world.engine is not None
    await world.engine.kill()


async def settled(world: MemoryWorld) -> None:
    await until(lambda: not world.history.wakes.owed, PATIENCE_S)


async def job_or_end(world: MemoryWorld, run: RunId, key: str) -> str | None:
    """Until the Run wants this job; or None, if it ends instead."""

    async def look() -> list[str | None]:
        last = await world.history.last_turn(run)
        if last is not None and last.turn.end is not None:
            return [None]
        return [key for offer in world.jobs.offers if offer.key == key]

    return (await until(look, PATIENCE_S))[0]


def warned(logs) -> list[str]:
    return [one["limit"] for one in logs if one["event"] == "run_near_a_limit"]


async def test_every_turn_says_what_the_run_has_used(world):
    run = await world.begin(TAKES)
    for number in range(3):
        await world.history.append_input(run, go(number))
        await settled(world)
    stored = await world.history.read(run)
    by_sequence = {given.sequence: given.input for given in stored.inputs}
    events = size = 0
    for turn in await turns_of(world.history, run):
        events += len(turn.consumed)
        size += sum(len(encode_input(by_sequence[sequence])) for sequence in turn.consumed)
        bare = type(turn)(**{n: getattr(turn, n) for n in turn.__struct_fields__ if n != "usage"})
        size += len(encode_turn(bare))
        assert turn.usage is not None
        assert (turn.usage.events, turn.usage.history_bytes) == (events, size)
    assert (turn.usage.events, turn.usage.steps) == (4, 4)


async def test_the_event_that_is_too_many_ends_the_run_and_is_kept(world):
    run = await world.begin(WAITS)
    await waiting(world, run)
    await stopped(world)
    # One event began it; room is left for one.
    for number in range(EVENTS_RUN_MAX - 2):
        await world.history.append_input(run, go(number))
        if number % 1_000 == 0:
            await asyncio.sleep(0)
    with capture_logs() as logs:
        world.start()
        await settled(world)
        assert warned(logs) == ["events"]
        await world.history.append_input(run, go("last"))
        await settled(world)
        last = (await turns_of(world.history, run))[-1]
        assert (last.usage.events, last.state) == (EVENTS_RUN_MAX, RunState.RUNNING)
        await world.history.append_input(run, go("too many"))
        await settled(world)
        assert warned(logs) == ["events"], "once is enough"
    *_, last = await turns_of(world.history, run)
    assert last.state is RunState.FAILED and last.end is not None and last.end.error is not None
    assert (last.end.error.type, last.end.error.kind) == ("LimitBreached", FailureKind.TENANT)
    assert last.end.error.message.startswith("the run has 50,001 of at most 50,000 events")
    assert "step.continue_as_new" in last.end.error.message
    stored = await world.history.read(run)
    assert [given.input for given in stored.inputs][-2:] == [go("last"), go("too many")]


async def test_what_came_while_no_engine_was_there_is_taken_in_turns_that_fit(world):
    run = await world.begin(TAKES)
    await waiting(world, run)
    await stopped(world)
    large = "x" * 1_000_000
    sent = [go(large if number < 10 else number, f"s{number}") for number in range(2_500)]
    for one in sent:
        await world.history.append_input(run, one)
    world.start()
    await settled(world)
    turns = (await turns_of(world.history, run))[1:]
    assert [len(turn.consumed) for turn in turns] == [4, 4, 1_000, 1_000, 492]
    consumed = [sequence for turn in turns for sequence in turn.consumed]
    assert consumed == sorted(consumed) and turns[-1].usage.steps == 2_501


async def test_a_kill_does_not_wait_for_its_turn(world):
    run = await world.begin(TAKES)
    await waiting(world, run)
    await stopped(world)
    for number in range(EVENTS_TURN_MAX):
        await world.history.append_input(run, go(number))
    await world.history.append_input(run, KillRequested(id="k", by="ada"))
    world.start()
    await settled(world)
    *_, last = await turns_of(world.history, run)
    assert (last.state, last.number) == (RunState.CANCELLED, 2)


async def test_what_has_room_is_taken_before_what_has_none(world, monkeypatch):
    monkeypatch.setattr(near_limits, "EVENTS_RUN_MAX", 10)
    monkeypatch.setitem(near_limits._LIMITS, "events", 10)
    run = await world.begin(TAKES)
    await waiting(world, run)
    await stopped(world)
    for number in range(20):
        await world.history.append_input(run, go(number))
    world.start()
    await settled(world)
    *_, before, last = await turns_of(world.history, run)
    assert before.usage.events == 10 and before.state is RunState.RUNNING
    assert last.state is RunState.FAILED


@pytest.mark.parametrize(
    "ending", [KillRequested(id="k", by="ada"), ResumeRequested(id="r", by="ada")]
)
async def test_a_paused_run_keeps_what_it_has_no_room_for(world, monkeypatch, ending):
    monkeypatch.setattr(near_limits, "EVENTS_RUN_MAX", 10)
    monkeypatch.setitem(near_limits._LIMITS, "events", 10)
    run = await world.begin(TAKES)
    await waiting(world, run)
    await world.history.append_input(run, PauseRequested(id="p", by="ada"))
    for number in range(20):
        await world.history.append_input(run, go(number))
    await settled(world)
    *_, last = await turns_of(world.history, run)
    assert last.state is RunState.PAUSED and last.usage.events <= 10
    await world.history.append_input(run, ending)
    await settled(world)
    *_, last = await turns_of(world.history, run)
    is_killed = isinstance(ending, KillRequested)
    assert last.state is (RunState.CANCELLED if is_killed else RunState.FAILED)
    assert len((await world.history.read(run)).inputs) == 23


async def test_a_history_that_gets_too_long_ends_the_run_without_its_last_turn(world, monkeypatch):
    monkeypatch.setitem(near_limits._LIMITS, "history_bytes", 20_000)
    body = """
async def run(event, step):
    try:
        while True:
            await step.do("value", lambda: "x" * 3_000)
            await step.job("job", run="true")
    finally:
        await step.job("cleanup", run="true")
"""
    run = await world.begin(body)
    with capture_logs() as logs:
        for number in range(1, 7):
            key = "job" if number == 1 else f"job#{number}"
            if await job_or_end(world, run, key) is None:
                break
            await world.history.append_input(run, finished(run, key))
            await settled(world)
        assert warned(logs) == ["history_bytes"]
    *_, last = await turns_of(world.history, run)
    assert last.state is RunState.FAILED and last.results == []
    assert "of at most 20,000 bytes of history" in last.end.error.message
    assert "step.continue_as_new" in last.end.error.message
    near = [t for t in await turns_of(world.history, run) if t.usage.history_bytes >= 10_000]
    assert len(near) > 1, "people were told before"


async def test_a_turn_that_is_too_big_ends_the_run_and_a_big_one_is_warned_of(world):
    body = """
async def run(event, step):
    for size in (5, 10):
        for _ in range(size):
            await step.do("value", lambda: "x" * 3_400_000)
        await step.wait_for_event("go")
"""
    run = await world.begin(body)
    with capture_logs() as logs:
        await waiting(world, run)
        assert warned(logs) == ["turn_bytes"]
    await world.history.append_input(run, go(1))
    await settled(world)
    *_, last = await turns_of(world.history, run)
    assert last.state is RunState.FAILED and last.end.error.type == "TurnTooBig"
    assert "is over the limit of 32,000,000" in last.end.error.message


async def test_a_run_that_goes_on_as_new_in_time_breaks_no_limit(world, monkeypatch):
    from pipelines.guest import usage

    monkeypatch.setattr(usage, "EVENTS_RUN_MAX", 20)
    monkeypatch.setattr(near_limits, "EVENTS_RUN_MAX", 20)
    monkeypatch.setitem(near_limits._LIMITS, "events", 20)
    body = """
async def run(event, step):
    count = event.inputs.get("count", 0)
    while count < 50:
        if step.usage.is_high:
            step.continue_as_new({"count": count})
        await step.wait_for_event("go")
        count += 1
    return count
"""
    run = await world.begin(body)
    for number in range(50):
        await world.history.append_input(run, go(number))
        await settled(world)
    ends = {}
    for one in world.history._records:
        *_, last = await turns_of(world.history, one)
        ends[one] = last.state
        assert last.usage.events <= 20
    assert len(ends) > 2
    assert sorted(ends.values()) == ["continued"] * (len(ends) - 1) + ["succeeded"]
