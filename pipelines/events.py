"""Inputs: what a History may hold as having happened to a Run, one struct for each.

Events are past. Every input carries its own identity in its body (job and attempt, an id, a due
time), because a message can come twice long after any dedupe window has closed.
"""

from typing import Any

import msgspec

from pipelines.commands import StepKind
from pipelines.continuation import Continues
from pipelines.event import Event
from pipelines.failure import Failure
from pipelines.job import Annotation, Artifact, Coverage, Outcome, ReportedTests, Source
from pipelines.priority import Priority
from pipelines.run import RunState
from pipelines.service import ServiceReport
from pipelines.shell import Wait
from pipelines.supposed import Supposed
from pipelines.trust import Tier, Verdict, tier_of

SIGNAL_BYTES_MAX = 8_388_608
GIVEN_BYTES_MAX = 1_048_576


class Parent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The Run and the `call` Step that this Run is the child of. `depth` is how many are above.

    `causes`: who caused those above, besides those whom the event names.
    """

    run: str
    key: str
    depth: int = 1
    detached: bool = False
    causes: list[str] = []


class Rerun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """This Run is attempt `attempt` of what `origin` tried first; `of` is the one it follows.

    `asked` names the wish, where the same one may come again; else it is empty.
    """

    of: str
    origin: str
    attempt: int
    by: str
    asked: str = ""


class Fork(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """This Run was made from what `of` was, by `by`, with other inputs or code.

    `from_step`: results of `of` from before that Step are taken over; empty: none.
    """

    of: str
    by: str
    from_step: str = ""


class Recalled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a Step of an earlier attempt found out, for the Step that asks exactly the same."""

    kind: StepKind
    key: str
    fingerprint: str
    attempt: int = 1
    value: Any = None


class RunStarted(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="run_started"):
    """The first input of every History: what is run, for whom, and because of what.

    `inputs` is plain data from whoever started it. `shards` is how many there were then, or 0.
    `fault`: what the host found wrong in what the pipeline declares; the Run fails with it.
    `continues`: this Run goes on where another ended. `priority` unset: it is normal. `wait`: its
    Jobs wait for a terminal after a step that failed. `verdict`: of a pull request, how far its
    code is trusted. `supposed`: not all of its Steps are done.
    """

    run: str
    repo: str
    repo_name: str
    connection: str
    pipeline: str
    file: str
    bundle: str
    source: Source
    event: Event
    inputs: Any = None
    parent: Parent | None = None
    shards: int = 0
    rerun: Rerun | None = None
    recalled: list[Recalled] = []
    fault: Failure | None = None
    continues: Continues | None = None
    fork: Fork | None = None
    priority: Priority | msgspec.UnsetType = msgspec.UNSET
    wait: Wait | msgspec.UnsetType = msgspec.UNSET
    verdict: Verdict | msgspec.UnsetType = msgspec.UNSET
    supposed: Supposed | msgspec.UnsetType = msgspec.UNSET

    @property
    def tier(self) -> Tier:
        """Whether its code is trusted: as was decided when it began."""
        return tier_of(self.event) if self.verdict is msgspec.UNSET else self.verdict.tier

    @property
    def level(self) -> Priority:
        """Its priority."""
        return Priority.NORMAL if self.priority is msgspec.UNSET else self.priority


def unless_normal(level: Priority) -> Priority | msgspec.UnsetType:
    """A priority as a RunStarted keeps it."""
    return msgspec.UNSET if level is Priority.NORMAL else level


class JobFinished(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="job_finished"):
    """A Runner's final report on one Attempt. Identity: (`key`, `attempt`); later ones are late.

    `message` says in one line why it did not succeed. Times are seconds since the epoch.
    What the steps handed over, unset where that is nothing: `outputs` by name, of a job that
    succeeded; `summary`, in Markdown; `left_out`: what could not be taken, each with why;
    `tests`, `coverage`: what its reports say. `denied`: what it wanted to reach and was not let,
    with why. `image`: name and digest of its root. `services`: what became of each.
    """

    job: str
    key: str
    attempt: int
    outcome: Outcome
    exit_code: int | None = None
    message: str = ""
    annotations: list[Annotation] = []
    started_at: float = 0.0
    finished_at: float = 0.0
    runner: str = ""
    log_bytes: int = 0
    outputs: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    summary: str | msgspec.UnsetType = msgspec.UNSET
    left_out: list[str] | msgspec.UnsetType = msgspec.UNSET
    tests: ReportedTests | msgspec.UnsetType = msgspec.UNSET
    coverage: Coverage | msgspec.UnsetType = msgspec.UNSET
    artifacts: list[Artifact] | msgspec.UnsetType = msgspec.UNSET
    denied: list[str] | msgspec.UnsetType = msgspec.UNSET
    image: str | msgspec.UnsetType = msgspec.UNSET
    services: list[ServiceReport] | msgspec.UnsetType = msgspec.UNSET


class GateAnswered(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="gate_answered"
):
    """A person's answer at a Gate. Identity: (`key`, `by`): one person, one answer."""

    id: str
    key: str
    approved: bool
    by: str
    inputs: dict[str, Any] = {}
    comment: str = ""


class SignalSent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="signal_sent"):
    """An outside event addressed to this Run; kept if nobody waits for it yet. Identity: `id`."""

    id: str
    name: str
    payload: Any = None
    by: str = ""


class TimerFired(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="timer_fired"):
    """The wake-up that the Run armed for `due` (seconds since the epoch); not a truth."""

    due: float


class RetryRequested(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="retry_requested"
):
    """Somebody wants the pause before an attempt to be over. Identity: (`key`, `attempt`)."""

    id: str
    key: str
    attempt: int
    by: str


class CancelRequested(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="cancel_requested"
):
    """Somebody wants the Run to end; its cleanup code still runs. Identity: `id`."""

    id: str
    by: str
    reason: str = ""


class ChildFinished(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="child_finished"
):
    """The end of a child Run. Identity: `key`, the `call` Step that asked for it."""

    key: str
    run: str
    state: RunState
    output: Any = None
    error: Failure | None = None


class PauseRequested(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="pause_requested"
):
    """Somebody wants the Run to stand still until it is resumed. Identity: `id`."""

    id: str
    by: str
    reason: str = ""


class ResumeRequested(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="resume_requested"
):
    """Somebody wants a paused Run to go on. Identity: `id`."""

    id: str
    by: str


class KillRequested(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="kill_requested"
):
    """Somebody wants the Run to be over at once, without its cleanup code. Identity: `id`."""

    id: str
    by: str
    reason: str = ""


class GroupEntered(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="group_entered"
):
    """The Run holds its concurrency group, and begins. Identity: `key`."""

    key: str


class GroupRefused(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="group_refused"
):
    """The Run may not enter its concurrency group, and will not run. Identity: `key`."""

    key: str
    reason: str


Input = (
    RunStarted
    | JobFinished
    | GateAnswered
    | SignalSent
    | TimerFired
    | RetryRequested
    | CancelRequested
    | ChildFinished
    | PauseRequested
    | ResumeRequested
    | KillRequested
    | GroupEntered
    | GroupRefused
)
