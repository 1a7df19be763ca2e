"""Outcome: what a Run in a test came to, in the shapes that assertions want."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ci_host.engine.statuses import statuses_of
from ci_host.testkit.errors import KitFailure
from ci_host.testkit.script import nearest
from ci_host.testkit.story import Story
from pipelines.bundle import Bundle
from pipelines.commands import StepKind
from pipelines.events import RunStarted
from pipelines.export import Export, ExportedInput, ExportedTurn
from pipelines.failure import Failure
from pipelines.job import JobRequest
from pipelines.turn import Turn

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step: `kind` is do, job, gate, sleep, wait, call or rollback; `state` running, succeeded,
    failed, timed_out or cancelled. `began_at`, `ended_at`: seconds since the Run began."""

    name: str
    kind: str
    state: str = "running"
    attempts: int = 1
    value: Any = None
    failure: Failure | None = None
    began_at: float = 0.0
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What the pipeline asked of a runner, of the last attempt. `commands`: one text a step.

    `request` has everything else: timeout, caches, services and so on.
    """

    name: str
    state: str
    attempts: int
    commands: list[str]
    env: dict[str, str]
    image: str
    pool: str
    environment: str
    secrets: dict[str, str]
    request: JobRequest
    failure: Failure | None = None

    @property
    def command(self) -> str:
        """All its commands, one a line."""
        return "\n".join(self.commands)


class ByName(dict[str, T]):
    """By name, in the order in which they were asked for; what is missing says what there is."""

    def __missing__(self, name: str) -> T:
        """Raises KitFailure."""
        there = ", ".join(map(repr, self)) or "none"
        raise KitFailure(f"the run has no {name!r}{nearest(name, self)}; there are: {there}")


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """What a forge was told: `state` is pending, success, failure or error."""

    context: str
    state: str
    description: str


@dataclass(frozen=True, slots=True)
class Result:
    """A Run that is over. `state` is succeeded, failed, cancelled or continued.

    `seconds`: how long it took by its own clock. `continuation`: what the next Run begins with, of
    one that is `continued`. `printed`: what the plan printed. `unused`: what the test prepared and
    the Run never asked for. `history`: the Run as `staunch replay` reads it.
    """

    state: str
    output: Any
    failure: Failure | None
    steps: Sequence[StepRecord]
    jobs: ByName[JobRecord]
    statuses: Sequence[StatusRecord]
    seconds: float
    printed: str
    continuation: Any = None
    unused: Sequence[str] = field(default_factory=list)
    history: Export = field(default_factory=lambda: Export(Bundle(files={})), repr=False)

    @property
    def names(self) -> list[str]:
        """The names of all steps, in the order in which they were asked for."""
        return [one.name for one in self.steps]

    def step(self, name: str) -> StepRecord:
        """The step of this name. Raises KitFailure, which says what there is."""
        return ByName({one.name: one for one in self.steps})[name]

    def succeeded(self) -> "Result":
        """Itself. Raises KitFailure, with the whole Run, if it did not succeed."""
        return self._ended("succeeded")

    def failed(self, message: str = "") -> "Result":
        """Itself. Raises KitFailure if it did not fail, or its failure does not say `message`."""
        self._ended("failed")
        said = f"{self.failure.type}: {self.failure.message}" if self.failure else ""
        if message not in said:
            raise KitFailure(f"the run failed, but does not say {message!r}:\n{self}")
        return self

    def _ended(self, state: str) -> "Result":
        if self.state != state:
            raise KitFailure(f"the run is not {state}:\n{self}")
        return self

    def __str__(self) -> str:
        lines = [f"run {self.state} after {_time(self.seconds)}"]
        if self.failure is not None:
            where = self.failure.where()
            lines.append(
                f"  {self.failure.type}: {self.failure.message}" + (f" ({where})" if where else "")
            )
        for one in self.steps:
            again = f", attempt {one.attempts}" if one.attempts > 1 else ""
            said = f": {one.failure.message}" if one.failure is not None else ""
            lines.append(
                f"  {_time(one.began_at):>10}  {one.kind} {one.name!r} {one.state}{again}{said}"
            )
        lines += [f"  prepared, and never asked for: {one}" for one in self.unused]
        return "\n".join(lines)


def result_of(story: Story, bundle: Bundle, unused: Sequence[str]) -> Result:
    """What a Story that is over came to."""
    last = story.turns[-1]
    assert last.end is not None, "it is over"
    steps = _steps(story.turns, story.at)
    return Result(
        state=str(last.end.state),
        output=last.end.output,
        failure=last.end.error,
        steps=list(steps.values()),
        jobs=_jobs(story, steps),
        statuses=list(_statuses(story.started, story.turns)),
        seconds=last.now - story.at,
        printed="".join(turn.printed for turn in story.turns),
        continuation=last.end.continuation.inputs if last.end.continuation else None,
        unused=unused,
        history=Export(
            bundle,
            [ExportedInput(one.seq, one.at, one.body) for one in story.inputs],
            [ExportedTurn(turn.consumed[-1] + 1, turn) for turn in story.turns],
        ),
    )


def _steps(turns: Iterable[Turn], began: float) -> dict[tuple[str, str], StepRecord]:
    found: dict[tuple[str, str], StepRecord] = {}
    for turn in turns:
        passed = turn.now - began
        for asked in turn.commands:
            key = (str(asked.kind), asked.key)
            before = found.get(key)
            found[key] = StepRecord(
                name=asked.key,
                kind=str(asked.kind),
                attempts=asked.attempt,
                began_at=before.began_at if before is not None else passed,
            )
        for settled in turn.results:
            key = (str(settled.kind), settled.key)
            before = found.get(key, StepRecord(settled.key, str(settled.kind), began_at=passed))
            is_over = settled.state != "retrying"
            found[key] = StepRecord(
                name=settled.key,
                kind=str(settled.kind),
                state=str(settled.state),
                attempts=max(before.attempts, settled.attempt),
                value=settled.value,
                failure=settled.error,
                began_at=before.began_at,
                ended_at=passed if is_over else None,
            )
    return found


def _jobs(story: Story, steps: Mapping[tuple[str, str], StepRecord]) -> ByName[JobRecord]:
    found: ByName[JobRecord] = ByName()
    for (key, _), request in story.view.requests.items():
        step = steps[(str(StepKind.JOB), key)]
        found[key] = JobRecord(
            name=key,
            state=step.state,
            attempts=step.attempts,
            commands=[one.run for one in request.steps],
            env=request.env,
            image=request.image,
            pool=request.pool,
            environment=request.environment,
            secrets=request.secrets,
            request=request,
            failure=step.failure,
        )
    return found


def _statuses(started: RunStarted, turns: Iterable[Turn]) -> "Iterable[StatusRecord]":
    for turn in turns:
        for told in statuses_of(started, turn, "https://ci.example"):
            yield StatusRecord(told.context, str(told.state), told.description)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    return " ".join(f"{count:g}{unit}" for count, unit in parts if count) or "0s"
