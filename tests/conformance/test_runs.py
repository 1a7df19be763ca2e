"""What is done to a whole Run: begun twice, ended twice, run again, looked for, and too long."""

from pathlib import Path

import pytest

from ci_host.adapters.wasm.instance import WasmImage
from ci_host.engine.people import PersonRefused
from ci_host.engine.reruns import Reruns, Wish
from ci_host.settings import Hibernate
from pipelines.guest.limits import STEPS_RUN_MAX
from pipelines.ids import RunId
from pipelines.run import RunState
from tests.conformance.stage import (
    ADA,
    Case,
    Stage,
    cancel,
    holds,
    pause,
    play,
    report,
    send,
    stages,
    wake,
)
from tests.engine.world import output_of, turns_of

pytestmark = [pytest.mark.anyio, pytest.mark.sandbox]

SHARDS = 4
ENDED = {
    "succeeded": Case("return await step.do('x', lambda: 1)", output=1),
    "failed": Case("await step.do('x', int, 'no number')", error=("ValueError", "no number")),
    "cancelled": Case("await step.wait_for_event('x')", (cancel,), state=RunState.CANCELLED),
}
FROM_A_STEP = Case(
    """
    import uuid
    new = lambda: str(uuid.uuid4())
    setup = await step.do("setup", new)
    await step.sleep("check", 1)
    between = await step.do("between", new)
    check = await step.do("check", new)
    return [setup, between, check, await step.do("after", new)]
    """,
    (wake,),
)
REMEMBERS = Case(
    """
    seen = []
    await step.do("note", lambda: seen.append(1))
    await step.wait_for_event("go")
    await step.do("kept" if seen else "forgotten", lambda: 1)
    await step.wait_for_event("more")
    """,
)


async def began(world, case: Case) -> Stage:
    return Stage(world, await world.begin(case.source))


async def over(world, case: Case) -> Stage:
    stage = await began(world, case)
    await play(case, stage)
    return stage


async def test_the_same_start_twice_is_one_run(tmp_path: Path, wasm_image: WasmImage) -> None:
    case = Case("return (await step.job('x', run='x')).exit_code", (report("x"),), output=0)
    async with stages(tmp_path, wasm_image) as world:
        first = await began(world, case)
        await first.quiet()
        assert await world.begin(case.source) == first.run
        await play(case, first)
        assert await world.begin(case.source) == first.run
        await world.restart()
        await first.quiet()
        assert first.offered() == [("x", 1)]
        assert [turn.number for turn in await first.turns()] == [1, 2]


@pytest.mark.parametrize("how", ENDED)
async def test_a_run_that_is_over_takes_no_cancel(
    how: str, tmp_path: Path, wasm_image: WasmImage
) -> None:
    async with stages(tmp_path, wasm_image) as world:
        stage = await over(world, ENDED[how])
        # Two cancels within some seconds are one: this is a new one.
        await world.history.move(world.history.now + 60)
        with pytest.raises(PersonRefused, match=f"is over|{how}"):
            await cancel(stage)


@pytest.mark.parametrize("how", ENDED)
async def test_a_run_that_is_over_is_run_again(
    how: str, tmp_path: Path, wasm_image: WasmImage
) -> None:
    case = ENDED[how]
    async with stages(tmp_path, wasm_image) as world:
        stage = await over(world, case)
        begun = await Reruns(world.history, SHARDS).rerun(stage.run, Wish(), ADA)
        assert (begun.attempt, begun.recalled) == (2, 0)
        await play(case, Stage(world, begun.run))


@pytest.mark.parametrize("how", ["running", "paused"])
async def test_a_run_that_is_not_over_is_not_run_again(
    how: str, tmp_path: Path, wasm_image: WasmImage
) -> None:
    async with stages(tmp_path, wasm_image) as world:
        stage = await began(world, ENDED["cancelled"])
        await stage.quiet()
        await (pause if how == "paused" else holds(RunState.RUNNING))(stage)
        with pytest.raises(PersonRefused, match="is not over; cancel it, or wait for its end"):
            await Reruns(world.history, SHARDS).rerun(stage.run, Wish(), ADA)


@pytest.mark.parametrize(("step", "kept"), [("check", 1), ("check#2", 2), ("after", 3)])
async def test_a_run_is_run_again_from_a_step_on(
    step: str, kept: int, tmp_path: Path, wasm_image: WasmImage
) -> None:
    async with stages(tmp_path, wasm_image) as world:
        stage = await began(world, FROM_A_STEP)
        await stage.quiet()
        await wake(stage)
        first = output_of(await world.ended(stage.run))
        begun = await Reruns(world.history, SHARDS).rerun(stage.run, Wish(from_step=step), ADA)
        again = Stage(world, begun.run)
        await again.quiet()
        await wake(again)  # to sleep is no work to be taken over
        second = output_of(await world.ended(begun.run))
        assert isinstance(first, list) and isinstance(second, list)
        assert [a == b for a, b in zip(first, second, strict=True)] == [
            place < kept for place in range(4)
        ]


async def test_a_run_is_not_run_again_from_a_step_that_it_has_not(
    tmp_path: Path, wasm_image: WasmImage
) -> None:
    async with stages(tmp_path, wasm_image) as world:
        stage = await over(world, ENDED["succeeded"])
        with pytest.raises(PersonRefused, match="no step 'nowhere'; there are x"):
            await Reruns(world.history, SHARDS).rerun(stage.run, Wish(from_step="nowhere"), ADA)


async def test_nobody_acts_on_a_run_that_there_is_not(
    tmp_path: Path, wasm_image: WasmImage
) -> None:
    async with stages(tmp_path, wasm_image) as world:
        nobody = Stage(world, RunId("1-" + "0" * 20))
        for act in (send("go"), cancel, pause):
            with pytest.raises(PersonRefused, match="there is no run 1-0"):
                await act(nobody)


async def test_a_plan_that_decides_otherwise_on_replay_fails_and_names_both_steps(
    tmp_path: Path, wasm_image: WasmImage
) -> None:
    async with stages(tmp_path, wasm_image, Hibernate.IDLE) as world:
        stage = await began(world, REMEMBERS)
        await stage.quiet()
        await send("go")(stage)
        await stage.quiet()
        await stage.die()
        await send("more")(stage)
        end = (await world.ended(stage.run)).end
        assert end is not None and end.error is not None
        assert end.state is RunState.FAILED
        assert "kept" in end.error.message, end.error
        assert "forgotten" in end.error.message, end.error


@pytest.mark.parametrize("more", [0, 1])
async def test_a_run_may_have_as_many_steps_as_are_allowed_and_none_more(
    more: int, tmp_path: Path, wasm_image: WasmImage
) -> None:
    steps = f"""
    for n in range({STEPS_RUN_MAX - 25 + more}):
        if n % 1000 == 0:
            await step.wait_for_event("go")
        await step.do(f"{{n}}", int)
    return "done"
    """
    async with stages(tmp_path, wasm_image) as world:
        stage = await began(world, Case(steps))
        await stage.quiet()
        while (await turns_of(world.history, stage.run))[-1].end is None:
            await send("go")(stage)
            await stage.quiet()
        end = (await world.ended(stage.run)).end
        assert end is not None
        assert (await turns_of(world.history, stage.run))[-1].state is end.state
        if more:
            assert end.error is not None
            assert f"{STEPS_RUN_MAX:,}" in end.error.message or str(STEPS_RUN_MAX) in (
                end.error.message
            )
        else:
            assert end.output == "done"
