"""What the kit says of a pipeline, the engine and the real sandbox say too."""

import asyncio
from pathlib import Path

import pytest
from staunch.testing import PipelineTest, Result, pull_request, push

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.engine.replays import replay
from ci_host.tenant.host import TenantHost
from pipelines.events import TimerFired
from pipelines.export import decode_export, encode_export
from pipelines.ids import RunId
from pipelines.turn import Turn
from tests.engine.world import MemoryWorld, turns_of, until
from tests.tenants import plan
from tests.unit.testkit.pipelines_under_test import (
    CLOCK,
    FILE,
    MATRIX,
    RELEASE,
    SIGNALS,
    UNDONE,
)

DICE = plan(
    """
    await step.job("one", run=f"echo {random.random()}", retries=Retry(3, delay=10))
    await asyncio.sleep(30)
    return random.random()
    """
)


def released() -> Result:
    test = PipelineTest.of({FILE: RELEASE}).gate("go-live", approve_by="ada")
    return test.job("lint", exit_code=1).job("lint").job("deploy", outputs={"url": "u"}).run()


PLAYED = {
    "released": released,
    "failed": lambda: PipelineTest.of({FILE: RELEASE}).fail("unit").run(pull_request()),
    "timed out": lambda: PipelineTest.of({FILE: RELEASE}).gate("go-live", times_out=True).run(),
    "undone": lambda: PipelineTest.of({FILE: UNDONE}).fail("smoke").run(),
    "cancelled": lambda: PipelineTest.of({FILE: UNDONE}).cancel(during="smoke").run(),
    "matrix": lambda: PipelineTest.of({FILE: MATRIX}).job("test-1", exit_code=1).run(push()),
    "signals": lambda: PipelineTest.of({FILE: SIGNALS}).signal("go", 1).signal("go", [2]).run(),
    "clock": lambda: PipelineTest.of({FILE: CLOCK}).run(),
    "dice": lambda: PipelineTest.of({FILE: DICE}).job("one", outcome="lost").job("one").run(),
}


@pytest.mark.sandbox
@pytest.mark.parametrize("name", PLAYED)
def test_the_real_sandbox_decides_every_turn_as_the_kit_did(name: str, wasm_image) -> None:
    history = decode_export(encode_export(PLAYED[name]().history))
    host = TenantHost(wasm_image)
    try:
        played = list(replay(history, host))
    finally:
        host.close()
    assert [one.divergence for one in played] == [""] * len(history.turns)


def decided(turns: list[Turn]) -> list[tuple[object, ...]]:
    """The tree of steps, Turn by Turn, with times and what a replay compares."""
    return [(t.state, t.digest, t.now, t.commands, t.results, t.open, t.wake_at) for t in turns]


async def in_engine(result: Result, folder: Path) -> list[Turn]:
    """The Turns that an engine makes of the same inputs at the same times."""
    history = result.history
    world, run = MemoryWorld(folder), RunId(history.started.run)
    world.history = MemoryHistory(now=history.inputs[0].at)
    engine = world.start()
    try:
        await world.bundles.put(history.bundle)
        await world.history.create(run, history.started)
        for number, given in enumerate(history.inputs[1:], 1):
            await until(lambda n=number: has_made(world, run, n))
            if isinstance(given.input, TimerFired):
                await world.history.move(given.at)
            else:
                world.history.now = given.at
                await world.history.append_input(run, given.input)
        await world.ended(run)
        return await turns_of(world.history, run)
    finally:
        await engine.kill()


async def has_made(world: MemoryWorld, run: RunId, turns: int) -> bool:
    return len(await turns_of(world.history, run)) >= turns and not world.history.wakes.owed


# Its in-process guest has this machine's clock.
@pytest.mark.parametrize("name", [name for name in PLAYED if name != "clock"])
def test_an_engine_makes_the_same_tree_of_steps(name: str, tmp_path: Path) -> None:
    result = PLAYED[name]()
    turns = asyncio.run(in_engine(result, tmp_path))
    assert decided(turns) == decided([one.turn for one in result.history.turns])


@pytest.mark.sandbox
@pytest.mark.parametrize("line", ["import staunch.testing", "from staunch.testing import push"])
def test_a_pipeline_that_imports_the_kit_is_told_so_in_the_sandbox(line, wasm_image) -> None:
    host = TenantHost(wasm_image)
    bundle = PipelineTest.of({FILE: f"{line}\nasync def run(event, step): ..."})._bundle
    (entry,) = host.prepare(bundle).pipelines
    host.close()
    assert entry.error is not None
    assert "staunch.testing is for tests and is not in the sandbox" in entry.error.message
    assert entry.error.where() == f"{FILE}:1"
