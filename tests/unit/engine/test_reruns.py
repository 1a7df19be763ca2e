"""A further attempt takes over what succeeded, where exactly the same is asked; nothing else."""

from pathlib import Path

import pytest

from ci_host.access import Token
from ci_host.engine.children import child_of
from ci_host.engine.people import Answer, People, PersonRefused
from ci_host.engine.reruns import Begun, Reruns, Wish
from ci_host.ports import StoredHistory
from pipelines.ids import RunId
from pipelines.job import Outcome
from pipelines.rerun import rerun_id
from pipelines.run import RunState
from pipelines.turn import Turn
from tests.engine.world import MemoryWorld, finished, memory_world, output_of, turns_of, until

pytestmark = pytest.mark.anyio

ADA = Token(name="ada", digest="")
SHARDS = 4

EVERY_VERB = """
async def run(event, step):
    first = await step.do("first", lambda: 20)
    built = await step.job("build", run="make")
    answer = await step.gate("ship", timeout="1d")
    said = await step.wait_for_event("go")
    tested = await step.job("test", run="make test")
    return [first, built.exit_code, built.attempt, answer.by, said, tested.exit_code]
"""

CHANGES_ITS_MIND = """
async def run(event, step):
    asked = await step.wait_for_event("go")
    await step.job("build", run=f"make {event.run_id}")
    await step.job("test", run="make test")
"""

ROLLS_BACK = """
async def down(step, result):
    await step.job("down", run="down")

async def run(event, step):
    await step.job("up", run="up", rollback=down)
    await step.job("stay", run="stay")
    await step.job("check", run="check")
"""


def reruns(world: MemoryWorld) -> Reruns:
    return Reruns(world.history, SHARDS)


async def report(world: MemoryWorld, run: RunId, key: str, outcome: Outcome) -> None:
    await until(lambda: any(o.run == run and o.key == key for o in world.jobs.offers))
    await world.history.append_input(run, finished(run, key, outcome=outcome))


async def answered(world: MemoryWorld, run: RunId) -> None:
    acts = People(world.history, now=lambda: world.history.now, new_id=lambda: f"id-{run}")

    async def is_open() -> bool:
        last = await world.history.last_turn(run)
        return last is not None and bool(last.turn.open.gates)

    await until(is_open)
    await acts.answer_gate(run, "ship", ADA, Answer(True, {}))
    await acts.signal(run, "go", "now", ADA, "s")


async def failed_at_the_test(world: MemoryWorld, source: str = EVERY_VERB) -> RunId:
    run = await world.begin(source)
    await report(world, run, "build", Outcome.SUCCEEDED)
    await answered(world, run)
    await report(world, run, "test", Outcome.FAILED)
    assert (await world.ended(run)).state is RunState.FAILED
    return run


def offered(world: MemoryWorld, run: RunId) -> list[str]:
    return [spec.key for spec in world.jobs.offers if spec.run == run]


def recalled_in(turns: list[Turn]) -> dict[str, str]:
    results = [result for turn in turns for result in turn.results]
    return {result.key: result.recalled_from for result in results if result.recalled_from}


async def stored(world: MemoryWorld, run: RunId) -> StoredHistory:
    return await world.history.read(run)


async def test_only_what_failed_is_done_again(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await failed_at_the_test(world)
        before = await stored(world, run)
        begun = await reruns(world).rerun(run, Wish(failed_only=True), ADA)
        assert begun == Begun(rerun_id(run, 2, shards=SHARDS), 2, 4)
        await report(world, begun.run, "test", Outcome.SUCCEEDED)
        assert output_of(await world.ended(begun.run)) == [20, 0, 1, ["ada"], "now", 0]
        assert offered(world, begun.run) == ["test"]
        turns = await turns_of(world.history, begun.run)
        assert recalled_in(turns) == dict.fromkeys(["first", "build", "ship", "go"], run)
        assert await stored(world, run) == before


async def test_all_of_it_is_done_again_if_nothing_is_to_be_taken_over(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await failed_at_the_test(world)
        begun = await reruns(world).rerun(run, Wish(), ADA)
        assert begun.recalled == 0
        await report(world, begun.run, "build", Outcome.SUCCEEDED)
        await answered(world, begun.run)
        await report(world, begun.run, "test", Outcome.SUCCEEDED)
        assert output_of(await world.ended(begun.run)) == [20, 0, 1, ["ada"], "now", 0]


async def test_from_a_step_on_everything_is_done_again(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await failed_at_the_test(world)
        begun = await reruns(world).rerun(run, Wish(from_step="ship"), ADA)
        await answered(world, begun.run)
        await report(world, begun.run, "test", Outcome.SUCCEEDED)
        await world.ended(begun.run)
        turns = await turns_of(world.history, begun.run)
        assert set(recalled_in(turns)) == {"first", "build"}


async def test_attempts_follow_each_other_and_hand_on_what_they_took_over(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await failed_at_the_test(world)
        second = await reruns(world).rerun(run, Wish(failed_only=True), ADA)
        await report(world, second.run, "test", Outcome.FAILED)
        await world.ended(second.run)
        third = await reruns(world).rerun(second.run, Wish(failed_only=True), ADA)
        assert (third.attempt, third.recalled) == (3, 4)
        again = await reruns(world).rerun(run, Wish(failed_only=True), ADA)
        assert again.attempt == 4
        await report(world, third.run, "test", Outcome.SUCCEEDED)
        assert output_of(await world.ended(third.run)) == [20, 0, 1, ["ada"], "now", 0]


async def test_a_step_that_asks_for_something_else_is_done_anew_and_that_is_shown(
    tmp_path: Path,
) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(CHANGES_ITS_MIND)
        acts = People(world.history, now=lambda: 0.0, new_id=lambda: "s")
        await acts.signal(run, "go", None, ADA)
        await report(world, run, "build", Outcome.SUCCEEDED)
        await report(world, run, "test", Outcome.FAILED)
        await world.ended(run)
        begun = await reruns(world).rerun(run, Wish(failed_only=True), ADA)
        await report(world, begun.run, "build", Outcome.SUCCEEDED)
        await report(world, begun.run, "test", Outcome.SUCCEEDED)
        await world.ended(begun.run)
        turns = await turns_of(world.history, begun.run)
        assert recalled_in(turns) == {"go": run}
        assert f"job 'build' is done anew: run {run} asked" in turns[0].printed


async def test_what_was_rolled_back_is_done_again_and_undone_again(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:

        async def fails(run: RunId, wanted: list[str]) -> None:
            for key in wanted:
                outcome = Outcome.FAILED if key == "check" else Outcome.SUCCEEDED
                await report(world, run, key, outcome)
            assert (await world.ended(run)).state is RunState.FAILED
            assert offered(world, run) == wanted

        run = await world.begin(ROLLS_BACK)
        await fails(run, ["up", "stay", "check", "up/rollback/down"])
        for wish in (Wish(failed_only=True), Wish(from_step="check")):
            begun = await reruns(world).rerun(run, wish, ADA)
            await fails(begun.run, ["up", "check", "up/rollback/down"])


async def test_a_rerun_goes_on_in_the_next_life_of_its_engine(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await failed_at_the_test(world)
        begun = await reruns(world).rerun(run, Wish(failed_only=True), ADA)
        await until(lambda: offered(world, begun.run))
        await world.settled()
        await world.restart()
        await report(world, begun.run, "test", Outcome.SUCCEEDED)
        assert (await world.ended(begun.run)).state is RunState.SUCCEEDED


async def test_what_cannot_be_run_again_is_refused_and_says_why(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        with pytest.raises(PersonRefused, match="no run"):
            await reruns(world).rerun(RunId("1-" + "0" * 20), Wish(), ADA)
        run = await world.begin(EVERY_VERB)
        await until(lambda: world.jobs.offers)
        with pytest.raises(PersonRefused, match="is not over"):
            await reruns(world).rerun(run, Wish(), ADA)
        await report(world, run, "build", Outcome.FAILED)
        await world.ended(run)
        with pytest.raises(PersonRefused, match="no step 'ship'; there are first, build"):
            await reruns(world).rerun(run, Wish(from_step="ship"), ADA)


async def test_who_had_it_run_again_has_caused_it_too(tmp_path: Path) -> None:
    source = "async def run(event, step):\n    await step.gate('ship', not_author=True)\n"
    async with memory_world(tmp_path) as world:
        run = await world.begin(source)
        acts = People(world.history, now=lambda: 0.0, new_id=lambda: "k")
        await acts.kill(run, "", ADA)
        await world.ended(run)
        begun = await reruns(world).rerun(run, Wish(failed_only=True), ADA)
        with pytest.raises(PersonRefused, match="caused by bob, ada"):
            await answered(world, begun.run)


async def test_who_had_a_caller_run_again_has_caused_what_it_calls_however_deep(
    tmp_path: Path,
) -> None:
    calls = "async def run(event, step):\n    await step.call('{0}', '{0}')\n"
    gated = "async def run(event, step):\n    await step.gate('ship', not_author=True)\n"
    beside = {"middle": calls.format("deep"), "deep": gated}
    async with memory_world(tmp_path) as world:
        run = await world.begin(calls.format("middle"), beside=beside)
        await People(world.history, now=lambda: 0.0, new_id=lambda: "k").kill(run, "", ADA)
        await world.ended(run)
        begun = await reruns(world).rerun(run, Wish(), ADA)
        deep = begun.run
        for key in ("middle", "deep"):
            await until(lambda run=deep: world.history.started(run))
            caller = await world.history.started(deep)
            assert caller is not None
            deep = child_of(caller, key)
        with pytest.raises(PersonRefused, match="caused by bob, ada"):
            await answered(world, deep)


async def test_a_sensitive_value_is_computed_again(tmp_path: Path) -> None:
    source = """
async def run(event, step):
    await step.do("plain", lambda: 1)
    await step.do("secret", lambda: "hush", sensitive=True)
    await step.job("build", run="make")
"""
    async with memory_world(tmp_path) as world:
        run = await world.begin(source)
        await report(world, run, "build", Outcome.FAILED)
        await world.ended(run)
        begun = await reruns(world).rerun(run, Wish(failed_only=True), ADA)
        await report(world, begun.run, "build", Outcome.SUCCEEDED)
        await world.ended(begun.run)
        turns = await turns_of(world.history, begun.run)
        assert recalled_in(turns) == {"plain": run}
        first = await world.history.started(begun.run)
        assert "hush" not in repr(first)
