"""Actors: wake-ups become Turns; what is durable, and in which order."""

from pathlib import Path

import pytest

from pipelines.run import RunState
from tests.engine.world import finished, memory_world, output_of, turns_of, until

pytestmark = pytest.mark.anyio

TWO_STEPS = """
async def run(event, step):
    a = await step.do("a", lambda: 1)
    b = await step.do("b", lambda: a + 1)
    return b
"""

ONE_JOB = """
async def run(event, step):
    result = await step.job("build", run="make")
    return result.exit_code
"""


async def test_steps_that_run_in_the_sandbox_are_one_turn(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(TWO_STEPS)
        assert output_of(await world.ended(run)) == 2
        turns = await turns_of(world.history, run)
        assert len(turns) == 1
        assert [result.key for result in turns[0].results] == ["a", "b"]


async def test_a_job_is_offered_once_and_its_report_ends_the_run(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(ONE_JOB)
        await until(lambda: world.jobs.offers)
        await world.history.append_input(run, finished(run, "build"))
        assert output_of(await world.ended(run)) == 0
        assert len(world.jobs.offers) == 1


async def test_a_run_goes_on_in_the_next_life_of_its_engine(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(ONE_JOB)
        await until(lambda: world.jobs.offers)
        await world.settled()
        await world.restart()
        await world.history.append_input(run, finished(run, "build"))
        last = await world.ended(run)
        assert output_of(last) == 0
        assert [turn.by for turn in await turns_of(world.history, run)] == ["life-1", "life-2"]


async def test_a_sleep_is_armed_and_wakes_the_run(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(
            "async def run(event, step):\n    await step.sleep('soak', '2h')\n    return 'rested'\n"
        )
        due = await until(world.history.next_due)
        assert due == pytest.approx(world.history.now + 7200)
        await world.history.move(due)
        assert output_of(await world.ended(run)) == "rested"


async def test_an_exception_in_the_plan_fails_the_run_with_file_and_line(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin("async def run(event, step):\n    raise ValueError('no')\n")
        last = await world.ended(run)
        assert last.state is RunState.FAILED
        assert last.end is not None and last.end.error is not None
        assert last.end.error.where() == ".staunch/pipeline.py:2"


async def test_a_syntax_error_fails_the_run_with_file_and_line(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin("async def run(event, step)\n    pass\n")
        last = await world.ended(run)
        assert last.end is not None and last.end.error is not None
        assert last.end.error.where() == ".staunch/pipeline.py:1"
