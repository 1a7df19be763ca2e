"""Concurrency groups on the engine: one at a time, in order, through cancels and deaths."""

from pathlib import Path

import pytest

from ci_host.access import Token
from ci_host.engine.people import People
from pipelines.ids import RunId
from pipelines.job import Outcome
from pipelines.run import RunState
from tests.engine.crashes import CrashingWorld, check_history
from tests.engine.world import MemoryWorld, finished, memory_world, output_of, until

pytestmark = pytest.mark.anyio

ADA = Token(name="ada", digest="")


def deploy(policy: str = "queue", key: str = "'prod'") -> str:
    """A pipeline in a group that deploys."""
    return f"""
from staunch import on

on.concurrency({key}, policy={policy!r})

async def run(event, step):
    return (await step.job("deploy", run="./deploy.sh")).exit_code
"""


async def holds(world: MemoryWorld, run: RunId) -> None:
    """Until the Run has begun its work."""
    await until(lambda: any(spec.run == run for spec in world.jobs.offers))


async def queues(world: MemoryWorld, run: RunId) -> None:
    """Until the Run waits in its group."""

    async def waits() -> bool:
        last = await world.history.last_turn(run)
        group = last.turn.open.group if last is not None else None
        return group is not None and not group.entered

    await until(waits)
    await world.settled()


async def work(world: MemoryWorld, run: RunId) -> None:
    await world.history.append_input(run, finished(run, "deploy"))


async def test_runs_of_a_group_go_one_after_another_in_their_order(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        runs = []
        for name in ("1", "2", "3"):
            runs.append(await world.begin(deploy(), name))
            await (holds if name == "1" else queues)(world, runs[-1])
        for run in runs:
            await holds(world, run)
            assert [spec.run for spec in world.jobs.offers] == runs[: runs.index(run) + 1]
            await work(world, run)
            assert output_of(await world.ended(run)) == 0
        await world.settled()


async def test_a_group_is_found_by_a_function_of_the_event_and_none_is_no_group(
    tmp_path: Path,
) -> None:
    async with memory_world(tmp_path) as world:
        first = await world.begin(deploy(key="lambda event: event.branch"), "1")
        await holds(world, first)
        other = await world.begin(deploy(key="'other'"), "2")
        free = await world.begin(deploy(key="lambda event: None"), "3")
        await holds(world, other)
        await holds(world, free)
        await queues(world, await world.begin(deploy(key="'main'"), "4"))


async def test_cancel_in_progress_ends_the_others_first(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        old = await world.begin(deploy("cancel"), "1")
        await holds(world, old)
        new = await world.begin(deploy("cancel"), "2")
        await until(lambda: world.jobs.cancelled)
        await queues(world, new)
        # It is still at work: only when it has reported may the next begin.
        await world.history.append_input(old, finished(old, "deploy", outcome=Outcome.CANCELLED))
        assert (await world.ended(old)).state is RunState.CANCELLED
        await holds(world, new)
        await work(world, new)
        assert output_of(await world.ended(new)) == 0


async def test_replace_ends_those_that_wait_and_leaves_the_one_that_runs(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        first = await world.begin(deploy("replace"), "1")
        await holds(world, first)
        second = await world.begin(deploy("replace"), "2")
        await queues(world, second)
        third = await world.begin(deploy("replace"), "3")
        assert (await world.ended(second)).state is RunState.CANCELLED
        await work(world, first)
        assert output_of(await world.ended(first)) == 0
        await holds(world, third)


async def test_reject_does_not_run_and_says_who_does(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        first = await world.begin(deploy("reject"), "1")
        await holds(world, first)
        second = await world.begin(deploy("reject"), "2")
        end = (await world.ended(second)).end
        assert end is not None and end.error is not None
        assert end.state is RunState.CANCELLED
        assert end.error.message == f"concurrency group 'prod': run {first} holds it"
        await work(world, first)
        await world.ended(first)
        await world.settled()
        third = await world.begin(deploy("reject"), "3")
        await holds(world, third)


async def test_a_run_that_waits_can_be_cancelled_and_the_next_moves_up(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        first = await world.begin(deploy(), "1")
        await holds(world, first)
        second = await world.begin(deploy(), "2")
        await queues(world, second)
        third = await world.begin(deploy(), "3")
        await queues(world, third)
        people = People(world.history, now=lambda: 0.0, new_id=lambda: "once")
        await people.cancel(second, "not needed", ADA)
        assert (await world.ended(second)).state is RunState.CANCELLED
        await work(world, first)
        await holds(world, third)


async def test_a_run_that_fails_leaves_its_group(tmp_path: Path) -> None:
    broken = deploy().replace("return (await", "1 / 0\n    return (await")
    async with memory_world(tmp_path) as world:
        run = await world.begin(broken, "1")
        assert (await world.ended(run)).state is RunState.FAILED
        await holds(world, await world.begin(deploy(), "2"))


async def test_a_called_pipeline_that_would_wait_for_its_caller_is_refused(tmp_path: Path) -> None:
    caller = """
from staunch import RunFailed, on

on.concurrency("prod")

async def run(event, step):
    try:
        await step.call("inner", "inner")
    except RunFailed as error:
        return [error.state, "which called this one" in error.message]
"""
    async with memory_world(tmp_path) as world:
        run = await world.begin(caller, beside={"inner": deploy()})
        assert output_of(await world.ended(run)) == ["cancelled", True]


async def test_so_is_one_that_would_wait_for_the_caller_of_its_caller(tmp_path: Path) -> None:
    outer = """
from staunch import RunFailed, on

on.concurrency("prod")

async def run(event, step):
    try:
        await step.call("middle", "middle")
    except RunFailed as error:
        return "which called this one" in error.message
"""
    middle = "async def run(event, step):\n    await step.call('inner', 'inner')\n"
    async with memory_world(tmp_path) as world:
        run = await world.begin(outer, beside={"middle": middle, "inner": deploy()})
        assert output_of(await world.ended(run)) is True


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ("on.concurrency(5)", "must be a text or a function, not 5"),
        ("on.concurrency('a', policy='wait')", "one of queue, cancel, replace, reject"),
        ("on.concurrency('a')\non.concurrency('b')", "called twice"),
        ("on.concurrency(lambda event: 7)", "must be a text of 1 to 256 characters"),
        ("on.concurrency(lambda event: event.nothing)", "no attribute 'nothing'"),
    ],
)
async def test_a_wrong_declaration_fails_the_run_and_says_why(
    tmp_path: Path, declared: str, says: str
) -> None:
    source = f"from staunch import on\n{declared}\nasync def run(event, step):\n    return 1\n"
    async with memory_world(tmp_path) as world:
        end = (await world.ended(await world.begin(source))).end
        assert end is not None and end.error is not None
        assert says in end.error.message


@pytest.mark.parametrize("policy", ["queue", "cancel"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_death_at_any_operation_leaves_no_group_behind(
    tmp_path: Path, policy: str, after: bool
) -> None:
    operations = await _two(tmp_path, None, policy, after=after)
    assert operations > 25
    for at in range(1, operations + 1):
        await _two(tmp_path, at, policy, after=after)


async def _two(folder: Path, ends_at: int | None, policy: str, *, after: bool) -> int:
    world = CrashingWorld(folder)
    life = world.live(ends_at, after=after)
    runs = [await world.begin(deploy(policy), name=name) for name in ("1", "2")]
    if not await world.play_all(life):
        await world.die()
        assert await world.play_all(world.live(None)), f"it hangs after a death at {life.last}"
    ends = []
    for run in runs:
        await check_history(world, run)
        last = await world.history.last_turn(run)
        assert last is not None and last.turn.end is not None
        ends.append(last.turn.end.state)
    assert RunState.SUCCEEDED in ends
    assert policy == "cancel" or ends == [RunState.SUCCEEDED] * 2
    _, left = await world.groups.read("git/1", "prod")
    assert left.members == []
    await world.die()
    return life.count


async def test_one_cancel_does_not_let_the_next_in_beside_a_job_that_is_still_ending(
    tmp_path: Path,
) -> None:
    hasty = deploy().replace(
        "    return (await",
        "    await step.parallel(step.job('deploy', run='x'), step.do('fail', lambda: 1 / 0))\n"
        "    return (await",
    )
    async with memory_world(tmp_path) as world:
        run = await world.begin(hasty, "1")
        await until(lambda: world.jobs.cancelled)
        waiting = await world.begin(deploy(), "2")
        await queues(world, waiting)
        people = People(world.history, now=lambda: 0.0, new_id=lambda: "once")
        await people.cancel(run, "enough", ADA)
        await world.settled()
        last = await world.history.last_turn(run)
        assert last is not None and last.turn.end is None
        await world.history.append_input(run, finished(run, "deploy", outcome=Outcome.CANCELLED))
        assert (await world.ended(run)).state is RunState.FAILED
        await holds(world, waiting)
