"""Planned: what a pipeline would do with an event, found by doing it with supposed answers.

The plan itself is real: it is decided by the pipeline's own code in the sandbox it is given, turn
by turn, as an engine has it decided. Only what comes from outside of it is supposed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ci_host.tenant.host import TenantHost
from ci_host.tenant.sandbox import TenantFailed
from ci_host.testkit.errors import BrokenPipeline, Unanswered
from ci_host.testkit.script import CallEnd, Script
from ci_host.testkit.story import Story
from ci_host.testkit.supposed import SupposedWorld, Supposition, answer_of
from pipelines.bundle import PipelineEntry, Prepared
from pipelines.commands import (
    CallRequest,
    Command,
    GateTerms,
    OpenCall,
    Result,
    StepKind,
    StepState,
)
from pipelines.event import Event
from pipelines.events import Input, Parent, RunStarted
from pipelines.failure import Failure
from pipelines.history import HistoryView
from pipelines.ids import RunId, StepKey, child_id
from pipelines.job import JobRequest, Source
from pipelines.run import RunState
from pipelines.trigger import run_of
from pipelines.turn import Turn

REPO, CONNECTION = "plan/1", "plan"
# Of one Run that is planned, and Runs with all that they call: more is not followed.
TURNS_MAX = 1_000
RUNS_MAX = 50


@dataclass(slots=True)
class PlannedStep:
    """A Step as it was asked for, and what it came to. `turn`, `started_at` and `finished_at` are
    of the supposed Run, in seconds since the epoch; `due`: when a sleep, or a wait, is over.

    `by` and `entered`: who is supposed to answer a gate, and what. `child`: of a call, what it
    would run; None where that is not followed.
    """

    key: str
    kind: StepKind
    turn: int
    started_at: float
    state: str = "running"
    finished_at: float | None = None
    attempts: int = 1
    value: Any = None
    failure: Failure | None = None
    request: JobRequest | None = None
    gate: GateTerms | None = None
    due: float | None = None
    signals: tuple[str, ...] = ()
    call: CallRequest | None = None
    by: tuple[str, ...] = ()
    entered: Mapping[str, Any] = field(default_factory=dict)
    child: "PlannedRun | None" = None


@dataclass(slots=True)
class PlannedRun:
    """`state` is succeeded, failed, cancelled or continued, and `open` where `stopped` says why
    the end is not known."""

    entry: PipelineEntry
    state: str = "open"
    stopped: str = ""
    output: Any = None
    failure: Failure | None = None
    printed: str = ""
    steps: list[PlannedStep] = field(default_factory=list)

    def everything(self) -> Iterator[PlannedStep]:
        """All its steps, and those of the Runs that it calls."""
        for step in self.steps:
            yield step
            if step.child is not None:
                yield from step.child.everything()


class Planner:
    """Over one Bundle, in one sandbox. Use it in a sandbox thread. `at`: when it is now."""

    def __init__(
        self,
        host: TenantHost,
        prepared: Prepared,
        repo_name: str,
        supposition: Supposition,
        *,
        at: float,
    ) -> None:
        self._host = host
        self._prepared = prepared
        self._repo_name = repo_name
        self._supposition = supposition
        self._at = at
        self._runs = 0

    def run(self, entry: PipelineEntry, event: Event, inputs: Any) -> PlannedRun:
        """What this pipeline would do. Whatever is wrong with it is in what is returned."""
        if entry.error is not None:
            return PlannedRun(entry, "failed", failure=entry.error)
        started = RunStarted(
            run=run_of(REPO, event, entry.name),
            repo=REPO,
            repo_name=self._repo_name,
            connection=CONNECTION,
            pipeline=entry.name,
            file=entry.file,
            bundle=self._prepared.bundle,
            source=Source(mirror="", commit=event.commit),
            event=event,
            inputs=inputs,
        )
        return self._played(entry, started, self._at)

    def _played(self, entry: PipelineEntry, started: RunStarted, at: float) -> PlannedRun:
        self._runs += 1
        planned = PlannedRun(entry)
        children: dict[str, PlannedRun] = {}

        def child(call: OpenCall, view: HistoryView) -> CallEnd:
            found = self._child(started, call.key, view)
            if found is None:
                return CallEnd()
            children[call.key] = found
            return _end_of(found)

        script = Script()
        story = Story(self._host, self._prepared, started, script, at, hibernate=False)
        world = SupposedWorld(
            script, started, strict=False, supposition=self._supposition, child=child
        )
        try:
            planned.stopped = _play(story, world)
        except Unanswered as error:
            planned.stopped = str(error)
        except BrokenPipeline as error:
            planned.state, planned.failure = "failed", _failure_of(error)
        finally:
            story.close()
        for key, request in story.view.calls.items():
            found = self._child(started, key, story.view) if request.detached else None
            if found is not None:
                children[key] = found
        _tell(planned, story, children, self._supposition)
        return planned

    def _child(self, parent: RunStarted, key: str, view: HistoryView) -> PlannedRun | None:
        asked = view.calls[key]
        entry = next((one for one in self._prepared.pipelines if one.file == asked.file), None)
        if entry is None or self._runs >= RUNS_MAX:
            return None
        above = parent.parent.depth if parent.parent is not None else 0
        run = child_id(RunId(parent.run), StepKey(key), parent.shards)
        started = msgspec.structs.replace(
            parent,
            run=run,
            pipeline=asked.pipeline,
            file=asked.file,
            inputs=asked.inputs,
            parent=Parent(run=parent.run, key=key, depth=above + 1, detached=asked.detached),
        )
        return self._played(entry, started, view.now)


def _play(story: Story, world: SupposedWorld) -> str:
    """To its end; or why that is not known. Raises BrokenPipeline, Unanswered."""
    what: Input = story.started
    at = story.at
    for _ in range(TURNS_MAX):
        if story.turn(what, at).end is not None:
            return ""
        world.look(story.view)
        at, what = world.next(story.view)
    return f"after {TURNS_MAX:,} turns it is not over; what it does further is not shown"


def _end_of(child: PlannedRun) -> CallEnd:
    """What its caller hears; one whose end is not known is taken for one that went well."""
    if child.state not in (RunState.FAILED, RunState.CANCELLED):
        return CallEnd(RunState.SUCCEEDED, child.output)
    return CallEnd(RunState(child.state), child.output, child.failure)


def _failure_of(error: BrokenPipeline) -> Failure:
    """Of a plan that its sandbox stopped, as of the Run that an engine would fail."""
    cause = error.__cause__
    if isinstance(cause, TenantFailed):
        return cause.failure
    return Failure(type=type(error).__name__, message=str(error))


def _tell(
    planned: PlannedRun,
    story: Story,
    children: Mapping[str, PlannedRun],
    supposition: Supposition,
) -> None:
    steps: dict[tuple[StepKind, str], PlannedStep] = {}
    for turn in story.turns:
        _take(steps, turn)
        planned.printed += turn.printed
    for step in steps.values():
        step.child = children.get(step.key) if step.kind is StepKind.CALL else None
        if step.gate is not None and step.state == StepState.SUCCEEDED:
            found = answer_of(step.gate, supposition.of(step.key))
            if found is not None:
                step.by, step.entered = tuple(found["by"]), found["inputs"]
    planned.steps = list(steps.values())
    end = story.turns[-1].end if story.turns else None
    if end is not None:
        planned.state, planned.output, planned.failure = str(end.state), end.output, end.error


def _take(steps: dict[tuple[StepKind, str], PlannedStep], turn: Turn) -> None:
    for command in turn.commands:
        step = _of(steps, turn, command.kind, command.key)
        _ask(step, command)
    for result in turn.results:
        _settle(_of(steps, turn, result.kind, result.key), result.shown(), turn.now)


def _of(
    steps: dict[tuple[StepKind, str], PlannedStep], turn: Turn, kind: StepKind, key: str
) -> PlannedStep:
    new = PlannedStep(key, kind, turn.number, turn.now)
    return steps.setdefault((kind, key), new)


def _ask(step: PlannedStep, command: Command) -> None:
    step.attempts = command.attempt
    step.request = command.request
    step.gate = command.gate
    step.due = command.due
    step.signals = (command.signal,) if command.signal else tuple(command.signals)
    step.call = command.call


def _settle(step: PlannedStep, result: Result, now: float) -> None:
    step.state = str(result.state)
    step.value, step.failure = result.value, result.error
    if result.state is not StepState.RETRYING:
        step.finished_at = now
