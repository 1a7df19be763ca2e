"""A fork is a new Run from one that is over: other inputs, and what was there before a step."""

from pathlib import Path

import pytest

from ci_host.access import Token
from ci_host.engine.forks import Forks, ForkWish, OtherCode
from ci_host.engine.people import Answer, People, PersonRefused
from ci_host.engine.reruns import Reruns, Wish
from ci_host.engine.statuses import is_told
from pipelines.bundle import Bundle, InputTerms, PipelineEntry
from pipelines.events import Fork
from pipelines.ids import RunId
from pipelines.job import Source
from tests.engine.crashes import Killed, Life
from tests.engine.world import FILE, MemoryWorld, finished, memory_world, output_of, turns_of, until

pytestmark = pytest.mark.anyio

ADA = Token(name="ada", digest="")
ENTRY = PipelineEntry(
    name="pipeline", file=".staunch/pipeline.py", asks=InputTerms(inputs={"n": "int"})
)
SOURCE = """
from staunch import on

on.manual(inputs={"n": int})

async def run(event, step):
    built = await step.job("build", run="make")
    await step.job("deploy", run="deploy", env={"N": str(event.inputs.get("n"))})
    return [built.exit_code, event.inputs]
"""


async def report(world: MemoryWorld, run: RunId, *keys: str) -> None:
    for key in keys:
        await until(lambda key=key: any(o.run == run and o.key == key for o in world.jobs.offers))
        await world.history.append_input(run, finished(run, key))


async def over(world: MemoryWorld) -> RunId:
    run = await world.begin(SOURCE)
    await report(world, run, "build", "deploy")
    await world.ended(run)
    return run


async def test_a_fork_has_other_inputs_and_takes_over_what_was_before_its_step(
    tmp_path: Path,
) -> None:
    async with memory_world(tmp_path) as world:
        run = await over(world)
        before = await world.history.read(run)
        wish = ForkWish("k", {"n": 5}, "deploy")
        made = await Forks(world.history, 4).fork(run, wish, "ada", ENTRY)
        assert made.recalled == 1
        await report(world, made.run, "deploy")
        assert output_of(await world.ended(made.run)) == [0, {"n": 5}]
        assert [o.key for o in world.jobs.offers if o.run == made.run] == ["deploy"]
        results = [r for t in await turns_of(world.history, made.run) for r in t.results]
        assert {r.key: r.recalled_from for r in results} == {"build": run, "deploy": ""}
        first = await world.history.started(made.run)
        assert first is not None
        assert first.fork == Fork(of=run, by="ada", from_step="deploy")
        assert await world.history.read(run) == before


async def test_the_same_key_twice_is_one_fork(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await over(world)
        forks = Forks(world.history, 4)
        one = await forks.fork(run, ForkWish("k"), "ada", ENTRY)
        assert (await forks.fork(run, ForkWish("k"), "ada", ENTRY)).run == one.run
        assert (await forks.fork(run, ForkWish("l"), "ada", ENTRY)).run != one.run
        assert len(world.history.runs()) == 3


async def test_what_cannot_be_forked_is_refused_and_begins_nothing(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await over(world)
        forks = Forks(world.history, 4)
        for wish, entry, says in [
            (ForkWish("k", {"n": "x"}), ENTRY, "input 'n' must be of type int, not 'x'"),
            (ForkWish("k", {"n": 1}), None, "never came to load its code"),
            (ForkWish("k", from_step="no"), ENTRY, "no step 'no'; there are build, deploy"),
        ]:
            with pytest.raises(PersonRefused, match=says):
                await forks.fork(run, wish, "ada", entry)
        assert world.history.runs() == [run]


EVERYTHING = """
async def run(event, step):
    await step.do("number", lambda: 4)
    await step.job("build", run="make")
    await step.gate("ship")
    await step.wait_for_event("go")
    await step.call("called", "other")
    await step.job("last", run="true")
"""
OTHER = "async def run(event, step):\n    return 1\n"
NEW = EVERYTHING.replace("lambda: 4", "lambda: 5")


async def everything(world: MemoryWorld) -> RunId:
    run = await world.begin(EVERYTHING, beside={"other": OTHER})
    await report(world, run, "build")
    acts = People(world.history, now=lambda: 0.0, new_id=lambda: "once")

    async def is_open() -> bool:
        last = await world.history.last_turn(run)
        return last is not None and bool(last.turn.open.gates)

    await until(is_open)
    await acts.answer_gate(run, "ship", ADA, Answer(True, {}))
    await acts.signal(run, "go", "now", ADA, "s")
    await report(world, run, "last")
    await world.ended(run)
    return run


async def kept(world: MemoryWorld, run: RunId) -> set[str]:
    first = await world.history.started(run)
    assert first is not None
    return {one.kind for one in first.recalled}


async def test_what_is_kept_depends_on_what_differs(tmp_path: Path) -> None:
    """An approval is of these inputs at this commit, and so is a job: neither goes further."""
    async with memory_world(tmp_path) as world:
        run = await everything(world)
        forks = Forks(world.history, 4)
        asks = PipelineEntry(name="pipeline", file=FILE, asks=InputTerms(inputs={"n": "int"}))
        same = await forks.fork(run, ForkWish("a", {}, "last"), "ada", None)
        assert await kept(world, same.run) == {"do", "job", "gate", "wait", "call"}
        inputs = await forks.fork(run, ForkWish("b", {"n": 1}, "last"), "ada", asks)
        assert await kept(world, inputs.run) == {"do", "job", "wait", "call"}
        digest = await world.bundles.put(Bundle(files={FILE: NEW}))
        code = OtherCode(Source(mirror="/nowhere", commit="b" * 40), digest)
        other = await forks.fork(run, ForkWish("c", {}, "last"), "ada", asks_nothing(), code)
        assert await kept(world, other.run) == {"do", "wait"}


def asks_nothing() -> PipelineEntry:
    return PipelineEntry(name="pipeline", file=FILE)


async def test_a_fork_with_other_code_runs_that_code_at_that_commit(tmp_path: Path) -> None:
    new = """
async def run(event, step):
    built = await step.job("build", run="make")
    return ["new", event.commit, event.branch, built.exit_code]
"""
    async with memory_world(tmp_path) as world:
        run = await over(world)
        digest = await world.bundles.put(Bundle(files={FILE: new}))
        code = OtherCode(Source(mirror="/nowhere", commit="b" * 40), digest)
        wish = ForkWish("k", from_step="deploy")
        made = await Forks(world.history, 4).fork(run, wish, "ada", asks_nothing(), code)
        assert made.recalled == 0
        await report(world, made.run, "build")
        assert output_of(await world.ended(made.run)) == ["new", "b" * 40, "main", 0]
        (offer,) = [one for one in world.jobs.offers if one.run == made.run]
        assert offer.source.commit == "b" * 40


async def test_a_step_that_asks_for_something_else_is_done_anew_and_that_is_named(
    tmp_path: Path,
) -> None:
    source = """
async def run(event, step):
    await step.job("build", run=f"make {event.inputs.get('n', 0)}")
    await step.job("deploy", run="deploy")
"""
    async with memory_world(tmp_path) as world:
        run = await world.begin(source)
        await report(world, run, "build", "deploy")
        await world.ended(run)
        made = await Forks(world.history, 4).fork(
            run, ForkWish("k", {"n": 2}, "deploy"), "a", ENTRY
        )
        await report(world, made.run, "build", "deploy")
        await world.ended(made.run)
        printed = "".join(turn.printed for turn in await turns_of(world.history, made.run))
        assert f"job 'build' is done anew: run {run} asked for something else" in printed


async def test_the_forge_hears_nothing_of_a_fork_nor_of_its_further_attempts(
    tmp_path: Path,
) -> None:
    async with memory_world(tmp_path) as world:
        run = await over(world)
        made = await Forks(world.history, 4).fork(run, ForkWish("k"), "ada", ENTRY)
        await report(world, made.run, "build", "deploy")
        await world.ended(made.run)
        again = await Reruns(world.history, 4).rerun(made.run, Wish(), ADA)
        told = {}
        for one in (run, made.run, again.run):
            first = await world.history.started(one)
            assert first is not None
            told[one] = is_told(first)
        assert told == {run: True, made.run: False, again.run: False}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_host_that_dies_at_any_operation_makes_one_fork(
    tmp_path: Path, after: bool
) -> None:
    async with memory_world(tmp_path) as world:
        run = await over(world)
        wish = ForkWish("k", {"n": 5}, "deploy")
        counted = Life(None, after=after)
        await Forks(counted.port(world.history), 4).fork(run, ForkWish("x"), "ada", ENTRY)
        assert counted.count >= 2
        for at in range(1, counted.count + 1):
            with pytest.raises(Killed):
                dying = Life(at, after=after).port(world.history)
                await Forks(dying, 4).fork(run, wish, "ada", ENTRY)
            made = await Forks(world.history, 4).fork(run, wish, "ada", ENTRY)
        await report(world, made.run, "deploy")
        assert output_of(await world.ended(made.run)) == [0, {"n": 5}]
        assert len(world.history.runs()) == 3
