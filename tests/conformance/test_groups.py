"""Concurrency groups: who waits for whom, what a death changes, and which time counts."""

from pathlib import Path

import pytest

from ci_host.adapters.wasm.instance import WasmImage
from pipelines.ids import RunId
from pipelines.job import Outcome
from pipelines.priority import Priority
from pipelines.run import RunState
from tests.conformance.stage import SandboxedWorld, Stage, cancel, report, stages, wake
from tests.engine.world import output_of, until

pytestmark = [pytest.mark.anyio, pytest.mark.sandbox]


def deploy(key: str = "prod", policy: str = "queue", more: str = "") -> str:
    """A pipeline in a group that deploys."""
    return f"""
from staunch import *

on.concurrency({key!r}, policy={policy!r})
{more}

async def run(event, step):
    return (await step.job("deploy", run="./deploy.sh")).name
"""


async def begun(
    world: SandboxedWorld, name: str, source: str, priority: Priority = Priority.NORMAL
) -> Stage:
    stage = Stage(world, await world.begin(source, name, priority=priority))
    await stage.quiet()
    return stage


async def is_over(stage: Stage, state: RunState = RunState.SUCCEEDED) -> None:
    assert (await stage.world.ended(stage.run)).state is state


def working(world: SandboxedWorld) -> list[RunId]:
    """Whose work was asked for, in the order of the asking."""
    return list(dict.fromkeys(offer.run for offer in world.jobs.offers))


@pytest.mark.parametrize("dies", [False, True])
async def test_one_run_of_a_group_works_at_a_time_in_their_order(
    dies: bool, tmp_path: Path, wasm_image: WasmImage
) -> None:
    async with stages(tmp_path, wasm_image) as world:
        runs = [await begun(world, str(n), deploy()) for n in range(4)]
        for place, stage in enumerate(runs):
            if dies:
                await stage.die()
            await until(lambda place=place: len(working(world)) == place + 1)
            assert working(world) == [one.run for one in runs[: place + 1]]
            await report("deploy")(stage)
            await is_over(stage)
        assert [len(one.offered()) for one in runs] == [1, 1, 1, 1]


@pytest.mark.parametrize("dies", [False, True])
async def test_of_those_that_wait_the_most_important_goes_first_and_among_equals_the_first(
    dies: bool, tmp_path: Path, wasm_image: WasmImage
) -> None:
    levels = ["low", "normal", "low", "high", "normal", "high"]
    async with stages(tmp_path, wasm_image) as world:
        runs = [
            await begun(world, str(n), deploy(), Priority(level)) for n, level in enumerate(levels)
        ]
        # The first holds the group before the others come.
        order = [runs[n] for n in (0, 3, 5, 1, 4, 2)]
        for place, stage in enumerate(order):
            if dies:
                await stage.die()
            await until(lambda place=place: len(working(world)) == place + 1)
            assert working(world) == [one.run for one in order[: place + 1]]
            await report("deploy")(stage)
            await is_over(stage)


async def test_groups_of_different_keys_do_not_wait_for_each_other(
    tmp_path: Path, wasm_image: WasmImage
) -> None:
    async with stages(tmp_path, wasm_image) as world:
        busy = [await begun(world, str(n), deploy("eu")) for n in range(3)]
        other = await begun(world, "other", deploy("us"))
        assert working(world) == [busy[0].run, other.run]
        await report("deploy")(other)
        await is_over(other)
        for stage in busy:
            await report("deploy")(stage)
            await is_over(stage)


async def test_a_run_that_waits_in_its_group_is_cancelled_and_never_works(
    tmp_path: Path, wasm_image: WasmImage
) -> None:
    async with stages(tmp_path, wasm_image) as world:
        first, second, third = [await begun(world, str(n), deploy()) for n in range(3)]
        await cancel(second)
        await is_over(second, RunState.CANCELLED)
        await report("deploy")(first)
        await report("deploy")(third)
        await is_over(third)
        assert second.run not in working(world)


@pytest.mark.parametrize("late", [Outcome.CANCELLED, Outcome.SUCCEEDED])
async def test_a_cancelled_run_lets_the_next_in_when_its_work_has_ended_and_stays_cancelled(
    late: Outcome, tmp_path: Path, wasm_image: WasmImage
) -> None:
    async with stages(tmp_path, wasm_image) as world:
        first, second = [await begun(world, str(n), deploy()) for n in range(2)]
        await cancel(first)
        await first.quiet()
        assert working(world) == [first.run]
        await report("deploy", late)(first)
        await report("deploy")(second)
        await is_over(second)
        await is_over(first, RunState.CANCELLED)


@pytest.mark.parametrize("dies", [False, True])
async def test_a_second_run_is_refused_while_the_first_is_there_and_let_in_afterwards(
    dies: bool, tmp_path: Path, wasm_image: WasmImage
) -> None:
    async with stages(tmp_path, wasm_image) as world:
        first = await begun(world, "1", deploy(policy="reject"))
        if dies:
            await first.die()
        await is_over(await begun(world, "2", deploy(policy="reject")), RunState.CANCELLED)
        await report("deploy")(first)
        await is_over(first)
        third = await begun(world, "3", deploy(policy="reject"))
        await report("deploy")(third)
        await is_over(third)
        assert working(world) == [first.run, third.run]


@pytest.mark.parametrize("dies", [False, True])
async def test_the_time_of_a_run_counts_from_its_turn_in_the_group(
    dies: bool, tmp_path: Path, wasm_image: WasmImage
) -> None:
    async with stages(tmp_path, wasm_image) as world:
        first = await begun(world, "1", deploy())
        second = await begun(world, "2", deploy(more="run_timeout('10m')"))
        await world.history.move(world.history.now + 3600)
        await report("deploy")(first)
        await until(lambda: second.run in working(world))
        await second.quiet()
        began = world.history.now
        await world.history.move(began + 599)
        if dies:
            await second.die()
        last = await second.last()
        assert last is not None and last.state is RunState.RUNNING
        await wake(second)
        assert world.history.now == began + 600
        await report("deploy", Outcome.CANCELLED)(second)
        end = (await world.ended(second.run)).end
        assert end is not None and end.error is not None
        assert (end.state, end.error.type) == (RunState.FAILED, "RunTimedOut")


async def test_a_called_pipeline_waits_in_its_own_group(
    tmp_path: Path, wasm_image: WasmImage
) -> None:
    caller = "async def run(event, step):\n    return await step.call('deploy', 'deploy')\n"
    async with stages(tmp_path, wasm_image) as world:
        first = await begun(world, "1", deploy())
        calling = Stage(world, await world.begin(caller, "2", {"deploy": deploy()}))
        await calling.quiet()
        assert working(world) == [first.run]
        await report("deploy")(first)
        await until(lambda: len(working(world)) == 2)
        await report("deploy")(Stage(world, working(world)[1]))
        assert output_of(await world.ended(calling.run)) == "deploy"
