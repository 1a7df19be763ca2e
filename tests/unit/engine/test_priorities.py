"""Priorities on the engine: who of a group goes first, what a Run takes over, what may be said."""

from pathlib import Path

import msgspec
import pytest

from ci_host.access import Token
from ci_host.engine.children import child_of
from ci_host.engine.forks import Forks, ForkWish
from ci_host.engine.reruns import Reruns, Wish
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from pipelines.bundle import Bundle, PipelineEntry
from pipelines.codec import decode_input, encode_input
from pipelines.events import RunStarted
from pipelines.ids import RunId, successor_id
from pipelines.priority import LEVELS, Priority
from pipelines.run import RunState
from tests.engine.crashes import CrashingWorld, check_history
from tests.engine.world import FILE, MemoryWorld, finished, memory_world, output_of, until
from tests.schedules.world import MONDAY, schedule_world
from tests.sim.judge import judge_order
from tests.sim.stores import SimGroups

pytestmark = pytest.mark.anyio

ADA = Token(name="ada", digest="")
DEPLOY = """
from staunch import on

on.concurrency("prod")

async def run(event, step):
    return (await step.job("deploy", run="./deploy.sh")).exit_code
"""


def entry_of(top: str) -> PipelineEntry:
    """What a pipeline says of itself that has this at its top."""
    source = f"from staunch import on\n{top}\nasync def run(event, step):\n    return 1\n"
    (entry,) = TenantHost(NativeImage()).prepare(Bundle(files={FILE: source})).pipelines
    return entry


async def level_of(world: MemoryWorld, run: RunId) -> Priority:
    started = await world.history.started(run)
    assert started is not None
    return started.level


async def waits(world: MemoryWorld, run: RunId) -> None:
    """Until the Run has been put into its group."""

    async def is_in() -> bool:
        return (await world.groups.read("git/1", "prod"))[1].holds(run)

    await until(is_in)
    await world.settled()


# Who goes first.


async def test_of_those_that_wait_for_a_group_the_most_important_goes_first(
    tmp_path: Path,
) -> None:
    levels = ["low", "low", "normal", "high", "low", "high", "urgent"]
    async with memory_world(tmp_path) as world:
        runs = []
        for number, level in enumerate(levels):
            runs.append(await world.begin(DEPLOY, f"{number}", priority=Priority(level)))
            await waits(world, runs[-1])
        order = []
        for _ in runs:
            spec = await until(lambda: world.jobs.offers[len(order) :])
            order.append(runs.index(RunId(spec[0].run)))
            await world.history.append_input(runs[order[-1]], finished(runs[order[-1]], "deploy"))
            assert output_of(await world.ended(runs[order[-1]])) == 0
        # The first held it already, and was let be.
        assert order == [0, 6, 3, 5, 2, 1, 4]
        await world.settled()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_death_at_any_operation_drops_nobody_and_keeps_the_order(
    tmp_path: Path, after: bool
) -> None:
    operations = await _three(tmp_path, None, after=after)
    assert operations > 40
    for at in range(1, operations + 1):
        await _three(tmp_path, at, after=after)


async def _three(folder: Path, ends_at: int | None, *, after: bool) -> int:
    world = CrashingWorld(folder)
    world.groups = groups = SimGroups()
    life = world.live(ends_at, after=after)
    levels = (Priority.LOW, Priority.NORMAL, Priority.HIGH)
    runs = [await world.begin(DEPLOY, name=level, priority=level) for level in levels]
    if not await world.play_all(life):
        await world.die()
        assert await world.play_all(world.live(None)), f"it hangs after a death at {life.last}"
    for run in runs:
        await check_history(world, run)
        last = await world.history.last_turn(run)
        assert last is not None
        assert last.turn.state is RunState.SUCCEEDED
    histories = [await world.history.read(run) for run in runs]
    assert judge_order(histories, groups.written["prod"]) == []
    assert groups.written["prod"][-1].members == []
    await world.die()
    return life.count


# What a Run takes over.


async def test_a_called_pipeline_has_the_priority_of_its_caller(tmp_path: Path) -> None:
    caller = "async def run(event, step):\n    return await step.call('build', 'build')\n"
    build = (
        "from staunch import on\non.priority('low')\nasync def run(event, step):\n    return 1\n"
    )
    async with memory_world(tmp_path) as world:
        run = await world.begin(caller, beside={"build": build}, priority=Priority.URGENT)
        assert output_of(await world.ended(run)) == 1
        parent = await world.history.started(run)
        assert parent is not None
        assert await level_of(world, child_of(parent, "build")) is Priority.URGENT


async def test_a_run_that_continues_as_new_keeps_its_priority(tmp_path: Path) -> None:
    source = """
async def run(event, step):
    if not event.inputs:
        step.continue_as_new({"left": 0})
"""
    async with memory_world(tmp_path) as world:
        run = await world.begin(source, priority=Priority.HIGH)
        await world.ended(successor_id(run))
        assert await level_of(world, successor_id(run)) is Priority.HIGH


@pytest.mark.parametrize(
    ("said", "kept"),
    [(None, Priority.LOW), (Priority.NORMAL, Priority.NORMAL), (Priority.URGENT, Priority.URGENT)],
)
async def test_a_rerun_and_a_fork_keep_the_priority_unless_another_is_said(
    tmp_path: Path, said: Priority | None, kept: Priority
) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin("async def run(event, step):\n    1 / 0\n", priority=Priority.LOW)
        await world.ended(run)
        begun = await Reruns(world.history, 4).rerun(run, Wish(priority=said), ADA)
        made = await Forks(world.history, 4).fork(run, ForkWish("k", priority=said), "ada", None)
        assert await level_of(world, begun.run) is kept
        assert await level_of(world, made.run) is kept


async def test_the_runs_of_a_schedule_have_the_priority_of_the_newest_commit(
    tmp_path: Path,
) -> None:
    daily = "on.schedule('0 3 * * *', overlap='allow')"
    async with schedule_world(tmp_path) as world:
        await world.push(f"{daily}\non.priority('low')")
        await world.move(MONDAY + 86_400)
        await world.push(f"{daily}\non.priority('high')")
        await world.move(MONDAY + 2 * 86_400)
        assert [started.level for started in await world.starts()] == ["low", "high"]


# What may be said.


@pytest.mark.parametrize("level", LEVELS)
def test_a_pipeline_declares_its_priority(level: Priority) -> None:
    assert entry_of(f"on.priority('{level}')").priority is level


def test_a_pipeline_that_says_nothing_is_normal_and_runs_on_what_it_did() -> None:
    assert entry_of("").priority is Priority.NORMAL
    assert entry_of("on.priority('high')").triggers is None


@pytest.mark.parametrize(
    ("declared", "line", "says"),
    [
        ("on.priority('highest')", 2, "must be one of urgent, high, normal, low, not 'highest'"),
        ("\non.priority(5)", 3, "must be one of urgent, high, normal, low, not 5"),
        ("on.priority(['low'])", 2, "must be one of urgent, high, normal, low, not ['low']"),
        ("on.priority('low')\non.priority('low')", 3, "called twice; a pipeline has one priority"),
    ],
)
def test_a_wrong_priority_is_an_error_with_file_and_line(
    declared: str, line: int, says: str
) -> None:
    error = entry_of(declared).error
    assert error is not None
    assert says in error.message
    assert (error.file, error.line) == (FILE, line)


def test_a_normal_priority_is_not_written_and_an_old_beginning_is_normal() -> None:
    started = _started(b"")
    assert started.level is Priority.NORMAL
    assert b"priority" not in encode_input(started)
    kept = decode_input(encode_input(_started(b'"priority":"high",')))
    assert isinstance(kept, RunStarted)
    assert kept.level is Priority.HIGH


def _started(more: bytes) -> RunStarted:
    body = (
        b'{"type":"run_started",%b"run":"1-a","repo":"git/1","repo_name":"demo",'
        b'"connection":"git","pipeline":"pipeline","file":"f","bundle":"b",'
        b'"source":{"mirror":"/m","commit":"c"},"event":{"kind":"push","ref":"r","commit":"c"}}'
    )
    return msgspec.json.decode(body % more, type=RunStarted)
