"""Timeline: what every Step of a Run did with its time, from the read model. Pure.

A row is a Step, a segment a stretch of its time in one phase. Segments of a row are in order, never
overlap, and lie within the Run: clocks of runners differ from ours, so every time is clamped to
what came before it. Where it is drawn is `drawing.py`'s.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from ci_host.adapters.sql.queries import RunDetail
from ci_host.adapters.sql.tables import AttemptRow, ProcessStartRow, StepRow, TurnRow

# Processes that come back within this time were one restart to whoever looks.
TOGETHER_S = 5.0
# What a Turn takes anyway; only a longer wait for the engine is worth a segment.
DECIDING_S_MIN = 0.25


class Phase(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    GATE = "gate"
    SIGNAL = "signal"
    SLEEPING = "sleeping"
    BACKING_OFF = "backing_off"
    DECIDING = "deciding"


PHASE_WORDS = {
    Phase.QUEUED: "waiting for a runner",
    Phase.RUNNING: "running",
    Phase.GATE: "waiting at a gate",
    Phase.SIGNAL: "waiting for a signal",
    Phase.SLEEPING: "sleeping",
    Phase.BACKING_OFF: "backing off before the next attempt",
    Phase.DECIDING: "waiting for the engine",
}

# While nothing but these goes on, nothing is being worked on.
IDLE = frozenset({Phase.GATE, Phase.SIGNAL, Phase.SLEEPING, Phase.BACKING_OFF})

# Steps that did not do what they were asked for.
BROKEN = frozenset({"failed", "timed_out", "lost", "refused"})

OF_KIND = {
    "do": Phase.RUNNING,
    "gate": Phase.GATE,
    "sleep": Phase.SLEEPING,
    "wait": Phase.SIGNAL,
}


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch of a Step's time. `is_open`: it goes on now."""

    phase: Phase
    begin: float
    end: float
    note: str = ""
    outcome: str = ""
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One Step."""

    key: str
    kind: str
    state: str
    segments: tuple[Segment, ...]
    child: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Processes of the host came back; `label` says which, and where the Run went on.

    `short` is for narrow screens.
    """

    at: float
    label: str
    short: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """A whole Run. `is_open`: `end` is now, and moves."""

    begin: float
    end: float
    is_open: bool
    rows: tuple[Row, ...]
    marks: tuple[Mark, ...]


def timeline(detail: RunDetail, now: float) -> Timeline:
    """The Run as it is known at `now`."""
    run = detail.run
    begin = run.created_at
    is_open = run.finished_at is None
    end = max(begin, now if run.finished_at is None else run.finished_at)
    attempts: dict[str, list[AttemptRow]] = defaultdict(list)
    for attempt in detail.attempts:
        attempts[attempt.key].append(attempt)
    rows = tuple(
        Row(
            step.key,
            step.kind,
            step.state,
            tuple(_Pen(begin, end, is_open).segments(_stretches(step, attempts[step.key], end))),
            step.child,
        )
        for step in detail.steps
    )
    return Timeline(begin, end, is_open, rows, tuple(marks_of(detail)))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A segment as the records have it: times may lie anywhere; `end` None: it goes on."""

    phase: Phase
    begin: float
    end: float | None
    note: str = ""
    outcome: str = ""


class _Pen:
    """Draws stretches one after the other, never backwards and never outside the Run."""

    def __init__(self, begin: float, end: float, is_open: bool) -> None:
        self._at = begin
        self._end = end
        self._is_open = is_open

    def segments(self, stretches: Iterator[_Stretch]) -> Iterator[Segment]:
        for stretch in stretches:
            begin = min(max(stretch.begin, self._at), self._end)
            end = self._end if stretch.end is None else min(max(stretch.end, begin), self._end)
            self._at = end
            is_open = stretch.end is None and self._is_open
            yield Segment(stretch.phase, begin, end, stretch.note, stretch.outcome, is_open)


def _stretches(step: StepRow, attempts: Sequence[AttemptRow], end: float) -> Iterator[_Stretch]:
    if step.kind == "job":
        yield from _job_stretches(step, sorted(attempts, key=lambda one: one.attempt), end)
        return
    phase = OF_KIND.get(step.kind, Phase.RUNNING)
    note = _how_opened(step) if step.kind == "gate" else ""
    yield _Stretch(phase, step.started_at, step.finished_at, note, outcome=step.state)


def _how_opened(gate: StepRow) -> str:
    if gate.state != "succeeded" or gate.value_json is None:
        return ""
    by = msgspec.json.decode(gate.value_json)["by"]
    return f"opened by {', '.join(by) or 'its timeout'}"


def _job_stretches(step: StepRow, attempts: Sequence[AttemptRow], end: float) -> Iterator[_Stretch]:
    ended: float | None = None
    for attempt in attempts:
        # A claim may be folded before the Turn that asked for it: then nobody knows since when.
        queued = attempt.queued_at or attempt.started_at or step.started_at
        if ended is not None:
            yield _Stretch(Phase.BACKING_OFF, ended, queued, f"before attempt {attempt.attempt}")
        finished = attempt.finished_at or step.finished_at
        name = f"attempt {attempt.attempt}"
        yield _Stretch(Phase.QUEUED, queued, attempt.started_at or finished, name)
        if attempt.started_at is not None:
            note = f"{name} on {attempt.runner}" if attempt.runner else name
            yield _Stretch(Phase.RUNNING, attempt.started_at, finished, note, attempt.state)
        if finished is None:
            return
        ended = finished
    if ended is None:
        yield _Stretch(Phase.QUEUED, step.started_at, step.finished_at)
    elif step.state == "retrying":
        yield _Stretch(Phase.BACKING_OFF, ended, step.finished_at, "before the next attempt")
    elif (step.finished_at or end) - ended >= DECIDING_S_MIN:
        yield _Stretch(Phase.DECIDING, ended, step.finished_at)


def marks_of(detail: RunDetail) -> Iterator[Mark]:
    """The restarts that the Run lived through, in order."""
    group: list[ProcessStartRow] = []
    for start in sorted(detail.restarts, key=lambda one: one.at):
        if group and start.at - group[0].at > TOGETHER_S:
            yield _mark(group, detail)
            group = []
        group.append(start)
    if group:
        yield _mark(group, detail)


def _mark(group: Sequence[ProcessStartRow], detail: RunDetail) -> Mark:
    roles = sorted({start.role for start in group}, reverse=True)
    label, short = f"{' and '.join(roles)} restarted", "restart"
    engines = [start.at for start in group if start.role == "engine"]
    resumed = next((turn for turn in detail.turns if engines and turn.at >= engines[0]), None)
    if resumed is not None:
        step = _first_step(resumed, detail)
        what = f"{step}, turn {resumed.number}" if step else f"turn {resumed.number}"
        label, short = f"{label}, resumed at {what}", f"restart, turn {resumed.number}"
    return Mark(group[0].at, label, short)


def _first_step(turn: TurnRow, detail: RunDetail) -> str:
    """What the Turn was about, as far as rows say: a Step that it asked for, or that settled."""
    for step in detail.steps:
        if step.turn == turn.number or step.finished_at == turn.at:
            return step.key
    return next((one.key for one in detail.attempts if one.queued_at == turn.at), "")
