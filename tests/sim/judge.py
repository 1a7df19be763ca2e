"""Judge: what must hold for every Run of a simulation, whatever the weather was."""

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from staunch.rollback import PATIENCE_S

from ci_host.engine.children import child_of
from ci_host.ports import StoredHistory
from pipelines.commands import Command, StepKind, StepState
from pipelines.events import (
    CancelRequested,
    JobFinished,
    KillRequested,
    PauseRequested,
    ResumeRequested,
    RunStarted,
)
from pipelines.group import Group
from pipelines.ids import RunId, StepKey, job_id, successor_id
from pipelines.priority import LEVELS
from pipelines.run import RunState
from pipelines.turn import ENDED_BY_HOST

if TYPE_CHECKING:
    from tests.sim.play import World
    from tests.sim.told import Told

GOING_ON = (ResumeRequested, CancelRequested, KillRequested)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was wrong with a Run, and the pipeline that it ran."""

    run: RunId
    source: str
    wrong: list[str]


def judge(stored: StoredHistory, told: "Told", world: "World", is_owed: bool) -> list[str]:
    """Everything that is wrong with it."""
    if not any(kept.turn.end is not None for kept in stored.turns):
        return [f"it hangs after {len(stored.turns)} turns: {_open(stored)}"]
    wrong = [*_books(stored), *_ending(stored, told), *_jobs(stored, told.run, world)]
    wrong += _pauses(stored)
    wrong += _rollbacks(stored, told)
    said = {kept.turn.note.text for kept in stored.turns if kept.turn.note is not None}
    for result in (result for kept in stored.turns for result in kept.turn.results):
        if result.sensitive != (
            leaf(result.key) in told.author.secret and result.value is not None
        ):
            wrong.append(f"{result.key} is sensitive, or is not")
    if not said <= told.author.said:
        wrong.append(f"it said {said}")
    wrong += _recalled(stored, told)
    wrong += _children(stored, world)
    wrong += _continuation(stored, told, world)
    if stored.armed is not None:
        wrong.append("a timer is left behind")
    if is_owed:
        wrong.append("a wake-up is still owed")
    return wrong


def _open(stored: StoredHistory) -> object:
    return stored.turns[-1].turn.open if stored.turns else "no turn at all"


def _books(stored: StoredHistory) -> list[str]:
    turns = [kept.turn for kept in stored.turns]
    wrong = []
    if [turn.number for turn in turns] != list(range(1, len(turns) + 1)):
        wrong.append("turns have gaps")
    if any(turn.end is not None for turn in turns[:-1]):
        wrong.append("a turn was made after the end")
    consumed = [sequence for turn in turns for sequence in turn.consumed]
    if len(consumed) != len(set(consumed)):
        wrong.append("an input was consumed twice")
    due = [given.sequence for given in stored.inputs if given.sequence <= turns[-1].through]
    if sorted(consumed) != due:
        wrong.append("an input was skipped")
    settled = [
        (result.key, result.attempt if result.state is StepState.RETRYING else 0)
        for turn in turns
        for result in turn.results
    ]
    if len(settled) != len(set(settled)):
        wrong.append("a step has two results")
    events = list(accumulate(len(turn.consumed) for turn in turns))
    if [turn.usage.events for turn in turns if turn.usage is not None] != events:
        wrong.append("the run's events are miscounted")
    steps = {command.key for turn in turns for command in turn.commands}
    if turns[-1].usage is None or turns[-1].usage.steps < len(steps):
        wrong.append("the run's steps are miscounted")
    if any(later.now < before.now for before, later in pairwise(turns)):
        wrong.append("the run's time went back")
    return wrong


def _pauses(stored: StoredHistory) -> list[str]:
    by_sequence = {given.sequence: given.input for given in stored.inputs}
    wrong = []
    for before, later in pairwise([kept.turn for kept in stored.turns]):
        taken = [by_sequence[sequence] for sequence in later.consumed]
        if (before.state is RunState.PAUSED) != (before.paused is not None):
            wrong.append(f"turn {before.number} does not say whether it is paused")
        if before.paused is not None and not any(isinstance(one, GOING_ON) for one in taken):
            wrong.append(f"turn {later.number} was made while the run was paused")
        went_on = any(isinstance(one, PauseRequested) for one in taken[:-1])
        if before.paused is None and went_on and later.end is None:
            wrong.append(f"turn {later.number} went on after its pause")
    return wrong


def _ending(stored: StoredHistory, told: "Told") -> list[str]:
    end = stored.turns[-1].turn.end
    assert end is not None
    ends = told.ends
    if end.state is RunState.CONTINUED:
        return []  # see _continuation
    if ends is None:
        return []
    if end.state is RunState.CANCELLED:
        by_host = stored.turns[-1].turn.digest == ENDED_BY_HOST
        asked = told.is_killed if by_host else (told.is_cancelled or told.author.policy)
        return [] if asked else ["it was cancelled, and nobody asked for that"]
    if end.state is RunState.SUCCEEDED:
        fits = ends.value is not None and ends.value(end.output)
        return [] if fits else [f"it returned {end.output!r}, which cannot be"]
    assert end.error is not None
    if end.error.type in ends.raises:
        return []
    return [f"it failed with {end.error}, but may only with {sorted(ends.raises) or 'nothing'}"]


def _rollbacks(stored: StoredHistory, told: "Told") -> list[str]:
    turns = [kept.turn for kept in stored.turns]
    if turns[-1].digest == ENDED_BY_HOST:
        return []  # whoever kills a Run wants nothing undone
    settled = [result for turn in turns for result in turn.results]
    undone = [
        command.key.removesuffix("/rollback")
        for turn in turns
        for command in turn.commands
        if command.kind is StepKind.ROLLBACK
    ]
    end = turns[-1].end
    if end is not None and end.state in (RunState.SUCCEEDED, RunState.CONTINUED):
        return ["it succeeded and was undone"] if undone else []
    owed = [
        result.key
        for result in settled
        if result.state is StepState.SUCCEEDED and leaf(result.key) in told.author.undoable
    ]
    # A job that succeeded although it was cancelled is undone as well, and before the others.
    late = {result.key for result in settled if result.state is StepState.CANCELLED}
    wrong = []
    if [key for key in undone if key not in late] != owed[::-1]:
        wrong.append(f"{owed} had succeeded, and {undone} were undone")
    over = [result.key for result in settled if result.kind is StepKind.ROLLBACK]
    if sorted(over) != sorted(f"{key}/rollback" for key in undone):
        wrong.append(f"of the rollbacks of {undone} only {over} are over")
    return wrong


def _recalled(stored: StoredHistory, told: "Told") -> list[str]:
    started = stored.inputs[0].input
    assert isinstance(started, RunStarted)
    given = {(one.kind, one.key): one.value for one in started.recalled}
    taken = [r for kept in stored.turns for r in kept.turn.results if r.recalled_from]
    wrong = [
        f"{result.kind} {result.key} was recalled as {result.value!r}"
        for result in taken
        if result.recalled_from != told.of or given.get((result.kind, result.key)) != result.value
    ]
    # Nothing is asked of the world for what is recalled.
    asked = {(c.kind, c.key) for kept in stored.turns for c in kept.turn.commands if _asks(c)}
    wrong += [f"{r.key} was recalled and done" for r in taken if (r.kind, r.key) in asked]
    return wrong


def _asks(command: Command) -> bool:
    parts = (command.request, command.gate, command.signal, command.call)
    return any(part is not None for part in parts)


def leaf(key: str) -> str:
    """The name that the plan's author gave a Step."""
    return key.rpartition("/")[2].partition("#")[0]


def judge_groups(histories: list[StoredHistory], *, is_patient: bool) -> list[str]:
    """No two Runs of a group may have been at work at once.

    `is_patient` False: the clock was set, so that nobody may have waited for a cancelled job.
    """
    held: dict[str, tuple[int, int]] = {}
    for stored in histories:
        inside = [t.sequence for t in stored.turns if (g := t.turn.open.group) and g.entered]
        if inside:
            reported = _reported(stored) if is_patient else [0]
            first, last = held.get(chain := _first_of_chain(stored), (inside[0], 0))
            held[chain] = (min(first, inside[0]), max(last, inside[-1], *reported))
    stays = sorted(held.values())
    return [
        f"turn {later[0]} began while another of its group was at work"
        for before, later in pairwise(stays)
        if later[0] < before[1]
    ]


def judge_order(histories: list[StoredHistory], written: list[Group]) -> list[str]:
    """Whoever came to hold the group was the most important of those that waited, then the first.

    `written` is everything that the group has been. What a Run's priority is, its first input says.
    """
    firsts = [stored.inputs[0].input for stored in histories]
    level = {first.run: first.level for first in firsts if isinstance(first, RunStarted)}
    came: dict[str, int] = {}
    wrong = []
    for before, after in pairwise([Group(), *written]):
        holder = before.members[0].run if before.members else ""
        waiting = [member.run for member in before.members[1:]]
        for run in (member.run for member in after.members):
            came.setdefault(run, len(came))
        if not after.members or after.members[0].run == holder or not waiting:
            continue
        # A successor is handed the group by the Run that it continues, past all others.
        if (now := after.members[0].run) == successor_id(RunId(holder)) and now not in waiting:
            continue
        best = min(waiting, key=lambda run: (LEVELS.index(level[run]), came[run]))
        if now != best:
            wrong.append(f"{now} ({level[now]}) was let in before {best} ({level[best]})")
    return wrong


def _first_of_chain(stored: StoredHistory) -> str:
    """The group is handed over from one to the next: they are in it as one."""
    started = stored.inputs[0].input
    assert isinstance(started, RunStarted)
    return started.continues.first if started.continues else started.run


def _reported(stored: StoredHistory) -> list[int]:
    """Where the jobs that the Run waited for at its end have reported."""
    kinds = {command.kind for kept in stored.turns for command in kept.turn.commands}
    cancels = {i.input.id for i in stored.inputs if isinstance(i.input, CancelRequested)}
    # A kill, or a cancel of what is being cancelled or undone, says: do not wait.
    enough = 0 if StepKind.ROLLBACK in kinds else 1
    if stored.turns[-1].turn.digest == ENDED_BY_HOST or len(cancels) > enough:
        return [0]
    given_up = _given_up(stored)
    reports: dict[str, int] = {}
    for given in stored.inputs:
        if isinstance(given.input, JobFinished) and given.input.job not in given_up:
            reports.setdefault(given.input.job, given.sequence)
    return [0, *reports.values()]


def _given_up(stored: StoredHistory) -> set[str]:
    """The cancelled jobs that did not report for so long that the Run ended without them."""
    turns = [kept.turn for kept in stored.turns]
    found = set()
    for job in turns[-1].open.jobs:
        cancelled = [
            turn.now
            for turn in turns
            if any(
                j.key == job.key and j.attempt == job.attempt and j.cancelling
                for j in turn.open.jobs
            )
        ]
        if cancelled and turns[-1].now - cancelled[0] >= PATIENCE_S:
            found.add(job_id(RunId(_run_of(stored)), StepKey(job.key), job.attempt))
    return found


def _run_of(stored: StoredHistory) -> str:
    started = stored.inputs[0].input
    assert isinstance(started, RunStarted)
    return started.run


def _children(stored: StoredHistory, world: "World") -> list[str]:
    calls = [c for kept in stored.turns for c in kept.turn.commands if c.call is not None]
    parent = stored.inputs[0].input
    assert isinstance(parent, RunStarted)
    there = {told.run for told in world.told}
    return [f"call {c.key} was never begun" for c in calls if child_of(parent, c.key) not in there]


def _continuation(stored: StoredHistory, told: "Told", world: "World") -> list[str]:
    """Each link of a chain has the next, and a chain is as long as its plan says."""
    started, end = stored.inputs[0].input, stored.turns[-1].turn.end
    assert isinstance(started, RunStarted) and end is not None
    author, number = told.author, started.continues.number if started.continues else 0
    is_own = started.pipeline == "pipeline"
    links = author.links if is_own else author.child_links.get(started.pipeline, 0)
    if end.state is not RunState.CONTINUED:
        gave = end.state is RunState.SUCCEEDED
        return [f"it succeeded as link {number} of {links}"] if gave and number != links else []
    successor = successor_id(told.run)
    wrong = [] if number < links else [f"it continued as link {number} of {links}"]
    if not any(other.run == successor for other in world.told):
        wrong.append("its successor was never begun")
    return wrong


def _jobs(stored: StoredHistory, run: RunId, world: "World") -> list[str]:
    asked = {
        job_id(run, StepKey(command.key), command.attempt): command
        for kept in stored.turns
        for command in kept.turn.commands
        if command.request is not None
    }
    wrong = []
    for job, command in asked.items():
        offered = any(spec.id == job for spec in world.jobs.offers)
        wished_away = job in world.jobs.cancelled
        if not offered and not wished_away:
            wrong.append(f"job {command.key} was asked for and never offered")
        if world.worked.get(job, 0) > 1:
            wrong.append(f"job {command.key} was worked on twice")
    for job_open in stored.turns[-1].turn.open.jobs:
        if job_id(run, StepKey(job_open.key), job_open.attempt) not in world.jobs.cancelled:
            wrong.append(f"job {job_open.key} is not wanted any more, and nobody was told")
    return wrong
