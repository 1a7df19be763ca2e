"""Children: pipelines that call pipelines, awaited or not, cancelled, failing, and in crashes."""

from pathlib import Path

import pytest

from ci_host.access import Token
from ci_host.adapters.memory.history import MemoryHistory
from ci_host.engine.children import child_of
from ci_host.engine.people import People
from ci_host.ports import StoredTurn
from pipelines.events import ChildFinished, SignalSent
from pipelines.ids import RunId
from pipelines.run import FINAL, RunState
from tests.engine.crashes import CrashingWorld, check_history
from tests.engine.world import (
    Engine,
    MemoryWorld,
    finished,
    memory_world,
    output_of,
    turns_of,
    until,
)

pytestmark = pytest.mark.anyio

CALLER = """
async def run(event, step):
    return await step.call("build", "build", {"target": "x86"})
"""
BUILD = """
async def run(event, step):
    result = await step.job("make", run="make")
    return [event.inputs["target"], result.exit_code, event.branch]
"""
ADA = Token(name="ada", digest="")


async def child(world: MemoryWorld | CrashingWorld, run: RunId, key: str) -> RunId:
    """The id of the child, once it is there."""
    started = await world.history.started(run)
    assert started is not None
    found = child_of(started, key)

    async def there() -> bool:
        return await world.history.last_turn(found) is not None

    await until(there)
    return found


async def test_a_call_gives_what_the_called_pipeline_returns(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(CALLER, beside={"build": BUILD})
        built = await child(world, run, "build")
        await world.history.append_input(built, finished(built, "make"))
        assert output_of(await world.ended(run)) == ["x86", 0, "main"]
        begun = await world.history.started(built)
        assert begun is not None and begun.parent is not None
        assert (begun.parent.run, begun.parent.key, begun.pipeline) == (run, "build", "build")
        await world.settled()


async def test_a_child_that_fails_raises_with_its_id_and_its_reason(tmp_path: Path) -> None:
    body = "async def run(event, step):\n    raise ValueError('no disk')\n"
    caller = """
from staunch import RunFailed

async def run(event, step):
    try:
        await step.call("build", "build")
    except RunFailed as error:
        return [error.run, error.state, error.message]
"""
    async with memory_world(tmp_path) as world:
        run = await world.begin(caller, beside={"build": body})
        built = await child(world, run, "build")
        assert output_of(await world.ended(run)) == [built, "failed", "ValueError: no disk"]


async def test_cancelling_the_parent_cancels_the_child_and_its_jobs(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(CALLER, beside={"build": BUILD})
        built = await child(world, run, "build")
        people = People(world.history, now=lambda: 0.0, new_id=lambda: "once")
        await people.cancel(run, "enough", ADA)
        assert (await world.ended(run)).state is RunState.CANCELLED
        assert (await world.ended(built)).state is RunState.CANCELLED
        await world.settled()
        assert world.jobs.cancelled


async def test_a_started_pipeline_goes_on_when_its_parent_is_over(tmp_path: Path) -> None:
    caller = """
async def run(event, step):
    return await step.start("later", "build", {"target": 1})
"""
    async with memory_world(tmp_path) as world:
        run = await world.begin(caller, beside={"build": BUILD})
        built = output_of(await world.ended(run))
        assert built == await child(world, run, "later")
        await world.history.append_input(RunId(built), finished(RunId(built), "make"))
        assert output_of(await world.ended(RunId(built))) == [1, 0, "main"]
        await world.settled()


async def test_a_time_out_around_a_call_ends_the_child(tmp_path: Path) -> None:
    caller = """
import asyncio

async def run(event, step):
    try:
        async with asyncio.timeout(30):
            await step.call("build", "build", {"target": 1})
    except TimeoutError:
        return "too slow"
"""
    async with memory_world(tmp_path) as world:
        run = await world.begin(caller, beside={"build": BUILD})
        built = await child(world, run, "build")
        await until(world.history.next_due)
        await world.history.move(world.history.next_due() or 0.0)
        assert output_of(await world.ended(run)) == "too slow"
        assert (await world.ended(built)).state is RunState.CANCELLED
        await world.settled()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("step.call('x', 'nothing')", "no pipeline 'nothing' (there is: build, pipeline)"),
        ("step.call('x', 'build', 5)", "inputs must be a dict, not 5"),
        ("step.call('x', 'build', {'a': {1}})", "is no plain data"),
        ("step.call('x', None)", "the pipeline must be its name, not None"),
    ],
)
async def test_a_wrong_call_is_an_error_at_its_line(tmp_path: Path, call: str, says: str) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(
            f"async def run(event, step):\n    await {call}\n", beside={"build": BUILD}
        )
        end = (await world.ended(run)).end
        assert end is not None and end.error is not None
        assert says in end.error.message
        assert end.error.line == 2


async def test_a_pipeline_that_calls_itself_is_stopped(tmp_path: Path) -> None:
    caller = "async def run(event, step):\n    return await step.call('again', 'pipeline')\n"
    async with memory_world(tmp_path) as world:
        run = await world.begin(caller)
        end = (await world.ended(run)).end
        assert end is not None and end.error is not None
        assert "8 calls deep" in end.error.message
        await world.settled()


async def test_a_plan_cannot_name_the_run_that_it_calls(tmp_path: Path) -> None:
    """Whatever a plan says, the host derives its child's id: nobody else's Run can be reached."""
    victim_source = "async def run(event, step):\n    await step.gate('wait')\n"
    async with memory_world(tmp_path) as world:
        victim = await world.begin(victim_source, "victim")
        forger = f"""
async def run(event, step):
    step._ledger.child = lambda key: {victim!r}
    import asyncio
    try:
        async with asyncio.timeout(0):
            await step.call({victim!r}, "build")
    except TimeoutError:
        pass
"""
        run = await world.begin(forger, "forger", {"build": BUILD})
        await world.ended(run)
        await world.settled()
        last = await world.history.last_turn(victim)
        assert last is not None and last.turn.state not in FINAL


FAMILY = """
async def run(event, step):
    pair = await step.parallel(
        step.call("a", "build", {"target": 1}),
        step.call("b", "build", {"target": 2}),
    )
    loose = await step.start("c", "build", {"target": 3})
    return [pair, bool(loose)]
"""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_death_at_any_operation_changes_nothing_in_a_family(
    tmp_path: Path, after: bool
) -> None:
    operations = await _family(tmp_path, None, after=after)
    assert operations > 30
    for at in range(1, operations + 1):
        await _family(tmp_path, at, after=after)


async def _family(folder: Path, ends_at: int | None, *, after: bool) -> int:
    world = CrashingWorld(folder)
    life = world.live(ends_at, after=after)
    run = await world.begin(FAMILY, {"build": BUILD})
    if not await world.play_all(life):
        await world.die()
        assert await world.play_all(world.live(None)), f"it hangs after a death at {life.last}"
    last = await world.history.last_turn(run)
    assert last is not None
    assert output_of(last.turn) == [[[1, 0, "main"], [2, 0, "main"]], True]
    for one in world.history.runs():
        await check_history(world, one)
    ends = [
        given.input.key
        for given in (await world.history.read(run)).inputs
        if isinstance(given.input, ChildFinished)
    ]
    assert set(ends) == {"a", "b"}
    assert {(spec.run, spec.key) for spec in world.jobs.offers} == {
        (one, "make") for one in world.history.runs() if one != run
    }
    await world.die()
    return life.count


class StaleLook:
    """A History whose newest Turn is told a moment late, once."""

    def __init__(self, history: MemoryHistory) -> None:
        self._history = history
        self.late = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._history, name)

    async def last_turn(self, run: RunId) -> StoredTurn | None:
        if self.late:
            self.late = False
            return None
        return await self._history.last_turn(run)


async def test_a_run_that_ends_while_another_engine_looks_has_no_further_turn(
    tmp_path: Path,
) -> None:
    world = MemoryWorld(tmp_path)
    look = StaleLook(world.history)
    engine = Engine(
        look,  # type: ignore[arg-type]
        world.history.wakes,
        world.jobs,
        world.bundles,
        tmp_path,
        "one",
    )
    try:
        run = await world.begin("async def run(event, step):\n    return 1\n")
        assert output_of(await world.ended(run)) == 1
        await world.settled()
        look.late = True
        await world.history.append_input(run, SignalSent(id="late", name="go"))
        await world.settled()
        assert [turn.number for turn in await turns_of(world.history, run)] == [1]
    finally:
        await engine.kill()


@pytest.mark.parametrize(
    "bend",
    [
        "step._ledger.open = lambda: {'jobs': [{'key': 'x', 'attempt': 1}]}",
        "step._ledger.open = lambda: {'calls': [{'key': 'x'}]}",
        "step._ledger.ask('do', 'x', {}, attempt=-1)",
        "step._ledger.loop.now = 1e300",
    ],
)
async def test_a_plan_that_bends_its_driver_ends_itself_and_nobody_else(
    tmp_path: Path, bend: str
) -> None:
    source = f"async def run(event, step):\n    {bend}\n    await step.wait_for_event('never')\n"
    async with memory_world(tmp_path) as world:
        bent = await world.begin(source, "bent")
        end = (await world.ended(bent)).end
        assert end is not None and end.error is not None
        assert end.error.type == "SandboxBroken"
        honest = await world.begin("async def run(event, step):\n    return 1\n", "honest")
        assert output_of(await world.ended(honest)) == 1
        await world.settled()
