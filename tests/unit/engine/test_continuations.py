"""Runs that continue as new: one successor each, whoever dies; waits, cancels, signals, groups."""

from pathlib import Path

import pytest

from ci_host.access import Token
from ci_host.engine.children import child_of
from ci_host.engine.continuations import AT_ONCE_MAX
from ci_host.engine.people import People, PersonRefused
from ci_host.engine.statuses import statuses_of
from pipelines.events import ChildFinished, SignalSent
from pipelines.ids import RunId, shard_of, successor_id
from pipelines.run import RunState
from pipelines.status import StatusState
from tests.engine.crashes import CrashingWorld, check_history
from tests.engine.world import MemoryWorld, finished, memory_world, output_of, turns_of, until

pytestmark = pytest.mark.anyio

ADA = Token(name="ada", digest="")
# Each takes one signal, and the third returns them all.
COLLECT = """
async def run(event, step):
    got = event.inputs.get("got", [])
    got = [*got, await step.wait_for_event("next")]
    if len(got) < 3:
        step.continue_as_new({"got": got})
    return got
"""
COUNT = """
from staunch import on
{top}
async def run(event, step):
    left = event.inputs.get("left", 2)
    built = await step.job("build", run="make")
    if left:
        step.continue_as_new({{"left": left - 1}})
    return built.exit_code
"""


def people(world: MemoryWorld | CrashingWorld, *ids: str) -> People:
    given = iter(ids)
    return People(world.history, now=lambda: 0.0, new_id=lambda: next(given))


async def begun(world: MemoryWorld, run: RunId) -> None:
    async def there() -> bool:
        return await world.history.last_turn(run) is not None

    await until(there)


async def chain(world: MemoryWorld | CrashingWorld, run: RunId) -> list[RunId]:
    """The Run and its successors."""
    found = [run]
    while await world.history.started(successor_id(found[-1])) is not None:
        found.append(successor_id(found[-1]))
    return found


async def test_a_run_goes_on_as_another_with_the_same_code_and_other_inputs(
    tmp_path: Path,
) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(COUNT.format(top=""))
        for left in (2, 1, 0):
            await until(lambda run=run: any(o.run == run for o in world.jobs.offers))
            await world.history.append_input(run, finished(run, "build"))
            last = await world.ended(run)
            if left:
                assert last.state is RunState.CONTINUED
                assert last.end is not None and last.end.output is None
                old, run = run, successor_id(run)
                await begun(world, run)
                before, after = await world.history.started(old), await world.history.started(run)
                assert before is not None and after is not None and after.continues is not None
                assert after.continues.of == old
                assert after.inputs == {"left": left - 1}
                assert (after.bundle, after.source, after.event, after.file) == (
                    before.bundle,
                    before.source,
                    before.event,
                    before.file,
                )
                assert shard_of(old) == shard_of(run)
        assert output_of(last) == 0
        await world.settled()
        assert len(world.history.runs()) == 3


async def test_signals_that_nobody_took_go_along_each_once_and_in_their_order(
    tmp_path: Path,
) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(COLLECT)
        for number in (1, 2, 3):
            value = SignalSent(id=f"s{number}", name="next", payload=number)
            await world.history.append_input(run, value)
            await world.history.append_input(run, value)
        runs = [run, successor_id(run), successor_id(successor_id(run))]
        assert output_of(await world.ended(runs[2])) == [1, 2, 3]
        await world.settled()
        assert await chain(world, run) == runs


async def test_a_signal_to_a_run_that_was_continued_reaches_its_successor_once(
    tmp_path: Path,
) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(COLLECT)
        second = successor_id(run)
        who = people(world)
        await who.signal(run, "next", 1, ADA, "s1")
        await begun(world, second)
        # The first again, which was taken, and two more, by the name that the sender knows.
        for id_, value in [("s1", 1), ("s2", 2), ("s2", 2), ("s3", 3)]:
            await who.signal(run, "next", value, ADA, id_)
        assert output_of(await world.ended(successor_id(second))) == [1, 2, 3]
        await world.settled()
        with pytest.raises(PersonRefused, match="is over: it succeeded"):
            await who.signal(run, "next", 4, ADA, "s4")


@pytest.mark.parametrize("act", ["cancel", "kill"])
async def test_whoever_ends_a_run_that_was_continued_ends_its_successor(
    tmp_path: Path, act: str
) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(COLLECT)
        second = successor_id(run)
        who = people(world, "end-1", "pause-1")
        await who.signal(run, "next", 1, ADA, "s1")
        await begun(world, second)
        await getattr(who, act)(run, "enough", ADA)
        assert (await world.ended(second)).state is RunState.CANCELLED
        await world.settled()
        assert len(world.history.runs()) == 2
        with pytest.raises(PersonRefused, match=f"was continued as run {second}"):
            await who.pause(run, "", ADA)


async def test_a_cancel_in_the_turn_that_would_continue_wins(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(COLLECT)
        await begun(world, run)
        await world.settled()
        who = people(world, "p1", "r1", "c1")
        await who.pause(run, "", ADA)
        await world.settled()
        await who.signal(run, "next", 1, ADA, "s1")
        await who.cancel(run, "enough", ADA)
        assert (await world.ended(run)).state is RunState.CANCELLED
        await world.settled()
        assert await chain(world, run) == [run]


async def test_a_caller_gets_what_the_last_of_the_chain_returns(tmp_path: Path) -> None:
    caller = 'async def run(event, step):\n    return await step.call("c", "collect")\n'
    async with memory_world(tmp_path) as world:
        run = await world.begin(caller, beside={"collect": COLLECT})
        started = await world.history.started(run)
        assert started is not None
        child = child_of(started, "c")
        await begun(world, child)
        for number in (1, 2, 3):
            await people(world).signal(child, "next", number, ADA, f"s{number}")
        assert output_of(await world.ended(run)) == [1, 2, 3]
        await world.settled()
        told = [i.input for i in (await world.history.read(run)).inputs]
        ends = [one for one in told if isinstance(one, ChildFinished)]
        assert [one.run for one in ends] == [successor_id(successor_id(child))]


async def test_cancelling_a_caller_cancels_the_successor_of_what_it_called(
    tmp_path: Path,
) -> None:
    caller = 'async def run(event, step):\n    return await step.call("c", "collect")\n'
    async with memory_world(tmp_path) as world:
        run = await world.begin(caller, beside={"collect": COLLECT})
        started = await world.history.started(run)
        assert started is not None
        child = child_of(started, "c")
        await begun(world, child)
        await people(world).signal(child, "next", 1, ADA, "s1")
        await begun(world, successor_id(child))
        await people(world, "c1").cancel(run, "enough", ADA)
        assert (await world.ended(run)).state is RunState.CANCELLED
        assert (await world.ended(successor_id(child))).state is RunState.CANCELLED
        await world.settled()


async def test_a_successor_holds_the_group_and_the_next_waits_for_the_whole_chain(
    tmp_path: Path,
) -> None:
    source = COLLECT.replace(
        "async def run", "from staunch import on\non.concurrency('g')\n\n\nasync def run"
    )
    async with memory_world(tmp_path) as world:
        run = await world.begin(source, "1")
        await until(lambda: world.groups.read("git/1", "g"))
        await begun(world, run)
        await world.settled()
        other = await world.begin(source, "2")
        await begun(world, other)
        await world.settled()
        for number, one in enumerate([run, successor_id(run)], 1):
            await people(world).signal(one, "next", number, ADA, f"s{number}")
            assert (await world.ended(one)).state is RunState.CONTINUED
            await world.settled()
            _, group = await world.groups.read("git/1", "g")
            assert [member.run for member in group.members] == [successor_id(one), other]
            waiting = (await turns_of(world.history, other))[-1].open.group
            assert waiting is not None and not waiting.entered
        last = successor_id(successor_id(run))
        await people(world).signal(last, "next", 3, ADA, "s3")
        assert output_of(await world.ended(last)) == [1, 2, 3]
        await world.settled()
        inside = (await turns_of(world.history, other))[-1].open.group
        assert inside is not None and inside.entered


async def test_a_commit_is_pending_until_the_last_of_the_chain_is_over(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(COLLECT)
        for number in (1, 2, 3):
            await people(world).signal(run, "next", number, ADA, f"s{number}")
        last = successor_id(successor_id(run))
        await world.ended(last)
        told = []
        for one in await chain(world, run):
            started = await world.history.started(one)
            assert started is not None
            for turn in await turns_of(world.history, one):
                told += [status.state for status in statuses_of(started, turn, "")]
        assert told == [StatusState.PENDING] * 3 + [StatusState.SUCCESS]


async def test_a_plan_that_continues_and_never_waits_is_stopped(tmp_path: Path) -> None:
    source = "async def run(event, step):\n    step.continue_as_new()\n"
    async with memory_world(tmp_path) as world:
        run = await world.begin(source)
        for _ in range(AT_ONCE_MAX):
            await world.ended(run)
            run = successor_id(run)
        end = (await world.ended(run)).end
        assert end is not None and end.error is not None
        assert end.error.type == "EndlessContinuation"
        await world.settled()
        assert len(world.history.runs()) == AT_ONCE_MAX + 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("step.continue_as_new({'n': 'x'})", "input 'n' must be of type int, not 'x'"),
        ("step.continue_as_new({'m': 1})", "unknown: m"),
        ("step.continue_as_new(5)", "inputs must be a dict, not 5"),
        ("await asyncio.gather(beside(step))", "call it in run() itself"),
        ("await step.do('x', lambda: step.continue_as_new())", "inside the body of step.do"),
    ],
)
async def test_a_wrong_continuation_is_an_error_at_its_line_and_begins_nothing(
    tmp_path: Path, body: str, says: str
) -> None:
    source = f"""
import asyncio
from staunch import Input, on
on.manual(inputs={{"n": Input(int, default=1)}})
async def beside(step):
    step.continue_as_new()
async def run(event, step):
    {body}
"""
    async with memory_world(tmp_path) as world:
        run = await world.begin(source)
        end = (await world.ended(run)).end
        assert end is not None and end.error is not None
        assert says in end.error.message
        assert end.error.file is not None
        await world.settled()
        assert await chain(world, run) == [run]


@pytest.mark.parametrize("top", ["", "on.concurrency('all')"], ids=["alone", "in-a-group"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_death_at_any_operation_begins_each_successor_once(
    tmp_path: Path, after: bool, top: str
) -> None:
    operations = await _chain(tmp_path, None, top, after=after)
    assert operations > 25
    for at in range(1, operations + 1):
        await _chain(tmp_path, at, top, after=after)


async def _chain(folder: Path, ends_at: int | None, top: str, *, after: bool) -> int:
    world = CrashingWorld(folder)
    life = world.live(ends_at, after=after)
    caller = 'async def run(event, step):\n    return await step.call("c", "count")\n'
    run = await world.begin(caller, {"count": COUNT.format(top=top)})
    started = await world.history.started(run)
    assert started is not None
    child = child_of(started, "c")
    if not await world.play_all(life):
        await world.die()
        assert await world.play_all(world.live(None)), f"it hangs after a death at {life.last}"
    runs = await chain(world, child)
    assert sorted(world.history.runs()) == sorted([run, *runs])
    assert len(runs) == 3
    last = await world.history.last_turn(run)
    assert last is not None and output_of(last.turn) == 0
    for one in world.history.runs():
        await check_history(world, one)
    assert {(spec.run, spec.key) for spec in world.jobs.offers} == {(r, "build") for r in runs}
    _, group = await world.groups.read("git/1", "all")
    assert group.members == []
    await world.die()
    return life.count
