"""Simulation: a thousand seeds pass, a seed is one story, and broken engines are found out."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import structlog
from staunch.undo import Undo

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.adapters.memory.world import MemoryJobs
from ci_host.engine import actors, turns
from ci_host.engine.continuations import Continuations
from ci_host.ports import StoredTurn
from pipelines.codec import decode_turn, encode_turn
from pipelines.group import Group
from pipelines.guest.ledger import Books
from pipelines.history import Effects
from pipelines.ids import JobId, RunId
from pipelines.turn import Turn
from tests.sim.loop import Stuck
from tests.sim.story import Story, tell_all

CHUNK = 250
FOUND_WITHIN = 200


@pytest.fixture(autouse=True)
def heard_again():
    """The engine's log is off while a story is told."""
    yield
    structlog.reset_defaults()


def wrong_in(stories: list[Story]) -> dict[int, list[str]]:
    """What was wrong, by seed."""
    return {
        story.seed: [w for v in story.verdicts for w in v.wrong]
        for story in stories
        if story.verdicts
    }


@pytest.mark.parametrize("chunk", range(1000 // CHUNK))
def test_every_run_ends_as_it_must_whatever_the_weather(chunk: int) -> None:
    stories = tell_all(range(chunk * CHUNK, (chunk + 1) * CHUNK))
    assert wrong_in(stories) == {}
    assert sum(story.lives for story in stories) > CHUNK, (
        "engines must die for this to say anything"
    )


# Wake-ups that came again faster than a slow engine could answer; a job that reported when its Run
# had waited for it as long as it waits; a successor that was told to end before it had begun.
@pytest.mark.parametrize("seed", [40130, 25841, 56538])
def test_a_seed_that_was_wrong_once_is_right(seed: int) -> None:
    assert wrong_in(tell_all([seed])) == {}


def test_a_seed_is_the_same_story_in_every_process() -> None:
    code = "from tests.sim.story import tell_all; print([s.trace for s in tell_all(range(30))])"
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(told) == 1


def without_repair(patch: pytest.MonkeyPatch) -> None:
    """Effects are never made again."""
    patch.setattr(actors, "repair_of", lambda _view, _armed: Effects())


def without_fence(patch: pytest.MonkeyPatch) -> None:
    """Whoever comes may append."""

    async def append_turn(self: MemoryHistory, run: RunId, turn: Turn, *, after: int) -> int:
        sequence = self._next()
        self._record(run).turns.append(StoredTurn(sequence, decode_turn(encode_turn(turn))))
        return sequence

    patch.setattr(MemoryHistory, "append_turn", append_turn)


def with_effects_first(patch: pytest.MonkeyPatch) -> None:
    """The world hears of a Turn before it is durable."""
    commit = turns.TurnMaker.commit

    async def early(self: turns.TurnMaker, live, turn, inputs) -> None:  # type: ignore[no-untyped-def]
        before, sequence = live.view, live.view.turn_sequence
        live.view = before.after(turn, sequence)
        for job in turn.open.jobs:
            if not job.cancelling:
                await self._offer(live, job, repair=False)
        live.view = before
        await commit(self, live, turn, inputs)

    patch.setattr(turns.TurnMaker, "commit", early)


def with_hints_believed(patch: pytest.MonkeyPatch) -> None:
    """A wake-up is settled before its Turn is made."""
    work = actors.Actors._work

    async def hasty(self: actors.Actors, run, wakes) -> None:  # type: ignore[no-untyped-def]
        for wake in wakes:
            await self._wakes.done(wake)
        await work(self, run, wakes)

    patch.setattr(actors.Actors, "_work", hasty)


def with_claims_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A Runner takes what another has taken."""

    class Forgetful(set[JobId]):
        def __contains__(self, _: object) -> bool:
            return False

    begin = MemoryJobs.__init__

    def forgetful(self: MemoryJobs, *arguments: object) -> None:
        begin(self)
        self.claimed = Forgetful()

    patch.setattr(MemoryJobs, "__init__", forgetful)


def with_rollbacks_in_order(patch: pytest.MonkeyPatch) -> None:
    """What was done first is undone first."""

    def next_undo(self: Books) -> Undo | None:
        return self._owed.pop(0) if self._owed else None

    patch.setattr(Books, "next_undo", next_undo)


def with_nothing_passed_on(patch: pytest.MonkeyPatch) -> None:
    """What is told to a Run that was continued is told to nobody."""

    async def pass_on(*_: object) -> None:
        return None

    patch.setattr(Continuations, "pass_on", pass_on)


def with_groups_let_go(patch: pytest.MonkeyPatch) -> None:
    """A Run that is continued leaves its group."""
    patch.setattr(Group, "handed_over", lambda group, run, to: group.left(run))


def with_priorities_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A group is a plain queue."""
    entered = Group.entered
    patch.setattr(Group, "entered", lambda group, run, policy, _: entered(group, run, policy))


@pytest.mark.parametrize(
    "spoil",
    [
        without_repair,
        without_fence,
        with_effects_first,
        with_hints_believed,
        with_claims_forgotten,
        with_rollbacks_in_order,
        with_nothing_passed_on,
        with_groups_let_go,
        with_priorities_forgotten,
    ],
)
def test_a_broken_engine_is_found_out(
    spoil: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch)
    for first in range(0, FOUND_WITHIN, 20):
        try:
            stories = tell_all(range(first, first + 20))
        except (AssertionError, ExceptionGroup, Stuck):
            return
        if wrong_in(stories):
            return
    pytest.fail(f"{FOUND_WITHIN} seeds did not find it")
