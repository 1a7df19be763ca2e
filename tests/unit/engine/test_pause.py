"""A paused Run takes nothing in and loses nothing, whoever dies meanwhile; a killed one is over."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from ci_host.access import Token
from ci_host.engine.people import Answer, People, PersonRefused
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from ci_host.tenant.sandbox import SandboxStarved, Tenant
from pipelines.bundle import Prepared
from pipelines.commands import StepState
from pipelines.events import PauseRequested, ResumeRequested
from pipelines.ids import RunId
from pipelines.run import FINAL, RunState
from pipelines.turn import Turn
from tests.engine.crashes import CrashingWorld, check_history
from tests.engine.world import MemoryWorld, finished, memory_world, output_of, turns_of, until

pytestmark = [
    pytest.mark.anyio,
    # A plan that is let go of inside a `finally` that awaits is one that Python complains about.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ADA, GRACE = Token(name="ada", digest=""), Token(name="grace", digest="")

EVERY_WAIT = """
async def run(event, step):
    built = await step.job("build", run="make")
    answer = await step.gate("deploy", approvers=["ada"], timeout="1d")
    said = await step.wait_for_event("go")
    await step.sleep("rest", "10s")
    return [built.exit_code, answer.by, said]
"""

CLEANS_UP = """
async def run(event, step):
    try:
        await step.gate("deploy")
    finally:
        await step.job("clean", run="make clean")
"""


def people(world: MemoryWorld) -> People:
    ids = iter(range(1000))
    return People(world.history, now=lambda: world.history.now, new_id=lambda: f"id{next(ids)}")


async def in_state(world: MemoryWorld, run: RunId, state: RunState) -> Turn:
    async def there() -> Turn | None:
        last = await world.history.last_turn(run)
        if last is None or last.turn.state is state:
            return last.turn if last is not None else None
        assert last.turn.state not in FINAL, last.turn.end
        return None

    found: Turn = await until(there)
    await world.settled()
    return found


async def paused_at_job(world: MemoryWorld, source: str = EVERY_WAIT) -> RunId:
    run = await world.begin(source)
    await until(lambda: world.jobs.offers)
    await people(world).pause(run, "wait for the release", ADA)
    await in_state(world, run, RunState.PAUSED)
    return run


async def test_a_paused_run_says_who_holds_it_and_since_when(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await paused_at_job(world)
        last = await world.history.last_turn(run)
        assert last is not None and last.turn.paused is not None
        assert last.turn.paused.by == "ada"
        assert last.turn.paused.reason == "wait for the release"
        assert last.turn.paused.since == world.history.now


async def test_what_comes_meanwhile_waits_owes_nothing_and_is_taken_in_one_turn(
    tmp_path: Path,
) -> None:
    async with memory_world(tmp_path) as world:
        run = await paused_at_job(world)
        await world.history.append_input(run, finished(run, "build"))
        await people(world).signal(run, "go", "now", ADA)
        await world.settled()
        before = await turns_of(world.history, run)
        assert before[-1].state is RunState.PAUSED
        assert [job.key for job in before[-1].open.jobs] == ["build"]
        await world.restart()
        await people(world).resume(run, GRACE)
        resumed = await in_state(world, run, RunState.RUNNING)
        assert resumed.number == len(before) + 1
        assert len(resumed.consumed) == 3
        assert resumed.paused is None
        assert [gate.key for gate in resumed.open.gates] == ["deploy"]


async def test_a_gate_is_answered_while_the_run_is_paused(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin("async def run(event, step):\n    return await step.gate('g')\n")
        await in_state(world, run, RunState.RUNNING)
        acts = people(world)
        await acts.pause(run, "", ADA)
        await in_state(world, run, RunState.PAUSED)
        await acts.answer_gate(run, "g", GRACE, Answer(True, {}))
        with pytest.raises(PersonRefused, match="answered already: approved by grace"):
            await acts.answer_gate(run, "g", ADA, Answer(True, {}))
        await world.settled()
        assert (await turns_of(world.history, run))[-1].state is RunState.PAUSED
        await acts.resume(run, ADA)
        assert (await world.ended(run)).state is RunState.FAILED  # a GateAnswer is no plain data


async def test_no_timer_wakes_it_and_one_that_was_due_fires_at_its_time(tmp_path: Path) -> None:
    source = (
        "import asyncio\nasync def run(event, step):\n    clock = asyncio.get_running_loop().time\n"
        "    began = clock()\n    await step.sleep('rest', '1h')\n    return clock() - began\n"
    )
    async with memory_world(tmp_path) as world:
        run = await world.begin(source)
        await until(world.history.next_due)
        await people(world).pause(run, "", ADA)
        await in_state(world, run, RunState.PAUSED)
        await world.history.move(world.history.now + 7200)
        await world.settled()
        assert (await turns_of(world.history, run))[-1].state is RunState.PAUSED
        await people(world).resume(run, ADA)
        assert output_of(await world.ended(run)) == 3600


async def test_a_timer_that_is_not_due_yet_is_kept_through_a_pause(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(
            "async def run(event, step):\n    await step.sleep('rest', '1h')\n    return 1\n"
        )
        due = await until(world.history.next_due)
        await people(world).pause(run, "", ADA)
        await in_state(world, run, RunState.PAUSED)
        await world.restart()
        await people(world).resume(run, ADA)
        await in_state(world, run, RunState.RUNNING)
        assert world.history.next_due() == due
        await world.history.move(due)
        assert output_of(await world.ended(run)) == 1


async def test_what_changes_nothing_is_refused_and_says_why(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run, acts = await paused_at_job(world), people(world)
        with pytest.raises(PersonRefused, match="paused already, by ada"):
            await acts.pause(run, "", GRACE)
        await acts.resume(run, GRACE)
        with pytest.raises(PersonRefused, match="is not paused"):
            await acts.resume(run, GRACE)
        await acts.kill(run, "", GRACE)
        await world.ended(run)
        for act in (acts.pause(run, "", ADA), acts.resume(run, ADA), acts.kill(run, "", ADA)):
            with pytest.raises(PersonRefused, match="is over: it was cancelled"):
                await act
        with pytest.raises(PersonRefused, match="no run"):
            await acts.pause(RunId("1-" + "0" * 20), "", ADA)


async def test_a_pause_and_a_resume_that_wait_together_are_both_taken(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(EVERY_WAIT)
        await until(lambda: world.jobs.offers)
        assert world.engine is not None
        await world.engine.kill()
        acts = people(world)
        await acts.pause(run, "", ADA)
        await acts.resume(run, ADA)
        world.start()
        world.history.wakes.lose_handed_out()
        await until(lambda: not world.history.wakes.owed)
        states = [turn.state for turn in await turns_of(world.history, run)]
        assert states[-2:] == [RunState.PAUSED, RunState.RUNNING]


async def test_to_cancel_a_paused_run_is_to_let_its_cleanup_go_on(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(CLEANS_UP)
        await in_state(world, run, RunState.RUNNING)
        await people(world).pause(run, "", ADA)
        await in_state(world, run, RunState.PAUSED)
        await people(world).cancel(run, "", ADA)
        await until(lambda: world.jobs.offers)
        await world.history.append_input(run, finished(run, "clean"))
        assert (await world.ended(run)).state is RunState.CANCELLED


# Kill.


@pytest.mark.parametrize("how", ["running", "paused", "cancelled", "at once"])
async def test_a_killed_run_is_over_without_its_cleanup(tmp_path: Path, how: str) -> None:
    async with memory_world(tmp_path) as world:
        run, acts = await world.begin(CLEANS_UP), people(world)
        if how != "at once":
            await in_state(world, run, RunState.RUNNING)
        if how == "paused":
            await acts.pause(run, "", ADA)
            await in_state(world, run, RunState.PAUSED)
        if how == "cancelled":
            await acts.cancel(run, "", ADA)
            await until(lambda: world.jobs.offers)
        await acts.kill(run, "it hangs", GRACE)
        last = await world.ended(run)
        assert last.state is RunState.CANCELLED
        assert last.end is not None and last.end.error is not None
        assert last.end.error.message == "killed by grace: it hangs"
        await world.settled()
        assert set(world.jobs.cancelled) == {offer.id for offer in world.jobs.offers}
        assert len(world.jobs.offers) == (1 if how == "cancelled" else 0)
        closed = [result for result in last.results if result.key == "deploy"]
        assert all(result.state is StepState.CANCELLED for result in closed)
        assert len(closed) == (1 if how in ("running", "paused") else 0)


async def test_a_run_whose_code_is_gone_can_be_killed_while_it_is_paused(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await paused_at_job(world)
        world.bundles._bundles.clear()
        world.bundles._prepared.clear()
        await world.restart()
        await people(world).kill(run, "", ADA)
        assert (await world.ended(run)).state is RunState.CANCELLED


class NeverInTime(TenantHost):
    """A sandbox in which every plan is starved."""

    def load(self, prepared: Prepared, file: str, *, run: str, seed: str, at: float) -> Tenant:
        raise SandboxStarved("no time")


async def test_a_run_that_never_gets_anywhere_can_be_killed(tmp_path: Path) -> None:
    world = MemoryWorld(tmp_path)
    engine = world.start(sandbox=NeverInTime(NativeImage()))
    try:
        run = await world.begin(EVERY_WAIT)
        await people(world).kill(run, "", ADA)
        assert (await world.ended(run)).state is RunState.CANCELLED
    finally:
        await engine.kill()


# Crashes.


@dataclass
class Pauses:
    """A person who pauses once the Run has made so many Turns, and lets it go on later."""

    at_turn: int
    paused: bool = False
    resumed: bool = False


class PausingWorld(CrashingWorld):
    """The same world, in which the Run is paused once; signals and answers come meanwhile."""

    def __init__(self, folder: Path, at_turn: int) -> None:
        super().__init__(folder)
        self.pauses = Pauses(at_turn)
        self.signalled = False

    async def _answer(self, run: RunId) -> bool:
        last, pauses = await self.history.last_turn(run), self.pauses
        if last is not None and not pauses.paused and last.turn.number >= pauses.at_turn:
            pauses.paused = True
            await self.history.append_input(run, PauseRequested(id="p", by="ada"))
            return True
        if not self.signalled:
            self.signalled = True
            await People(self.history, now=lambda: 0.0, new_id=lambda: "s").signal(
                run, "go", "now", ADA
            )
            return True
        if await super()._answer(run):
            return True
        if pauses.paused and not pauses.resumed and not self.history.wakes.owed:
            pauses.resumed = True
            await self.history.append_input(run, ResumeRequested(id="r", by="ada"))
            return True
        return False


async def played(folder: Path, at_turn: int, ends_at: int | None, *, after: bool) -> int:
    """A Run that is paused, on an engine that dies once; the operations of its first life."""
    world = PausingWorld(folder, at_turn)
    life = world.live(ends_at, after=after)
    run = await world.begin(EVERY_WAIT)
    if not await world.play(run, life):
        await world.die()
        assert await world.play(run, world.live(None)), f"it hangs after a death at {life.last}"
    await check_history(world, run)
    turns = await turns_of(world.history, run)
    await world.die()
    assert output_of(turns[-1]) == [0, ["ada"], "now"]
    assert RunState.PAUSED in [turn.state for turn in turns]
    assert {(spec.key, spec.attempt) for spec in world.jobs.offers} == {("build", 1)}
    return life.count


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at_turn", [1, 2])
async def test_a_death_at_any_operation_around_a_pause_changes_nothing(
    tmp_path: Path, at_turn: int, after: bool
) -> None:
    operations = await played(tmp_path, at_turn, None, after=after)
    assert operations > 15
    for ends_at in range(1, operations + 1):
        await played(tmp_path, at_turn, ends_at, after=after)
