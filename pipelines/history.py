"""History: what is known of a Run after its Turns, as a pure fold. Not the store, not the plan.

`HistoryView` is the host's knowledge: what is open, what was asked for, where the next Turn goes.
The plan's own state is inside its Tenant and is rebuilt by replay.
"""

from dataclasses import dataclass, field, replace

from pipelines.commands import CallRequest, Open, OpenCall, OpenGroup, OpenJob, StepKind
from pipelines.events import RunStarted
from pipelines.job import JobRequest
from pipelines.run import FINAL, RunState
from pipelines.turn import Pins, Turn
from pipelines.usage import Usage


@dataclass(frozen=True, slots=True)
class HistoryView:
    """A Run after `number` Turns. `turn_sequence` is what the next append must expect.

    `requests` and `calls` hold what each Job's Attempt and each call asked for, so that what was
    lost can be made again.
    """

    number: int = 0
    turn_sequence: int = 0
    through: int = 0
    now: float = 0.0
    state: RunState = RunState.PENDING
    open: Open = field(default_factory=Open)
    wake_at: float | None = None
    pins: Pins | None = None
    requests: dict[tuple[str, int], JobRequest] = field(default_factory=dict)
    calls: dict[str, CallRequest] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)

    @staticmethod
    def of(started: RunStarted) -> "HistoryView":
        """A Run that has only just begun; one that continues another holds that one's group."""
        before = started.continues
        return HistoryView(open=Open(group=before.group)) if before is not None else HistoryView()

    def after(self, turn: Turn, sequence: int) -> "HistoryView":
        """The view with one more Turn. Asserts what a History never breaks."""
        assert self.state not in FINAL, f"{self.state}, and then turn {turn.number}"
        assert turn.number == self.number + 1, f"turn {turn.number} follows {self.number}"
        assert turn.through >= self.through, "consumed inputs never come back"
        assert turn.now >= self.now, "a run's time never goes back"
        asked = {
            (command.key, command.attempt): command.request
            for command in turn.commands
            if command.kind is StepKind.JOB and command.request is not None
        }
        called = {c.key: c.call for c in turn.commands if c.call is not None}
        return replace(
            self,
            number=turn.number,
            turn_sequence=sequence,
            through=turn.through,
            now=turn.now,
            state=turn.state,
            open=turn.open,
            wake_at=turn.wake_at,
            pins=turn.pins or self.pins,
            requests=self.requests | asked if asked else self.requests,
            calls=self.calls | called if called else self.calls,
            usage=usage_after(self.usage, turn),
        )


def usage_after(before: Usage, turn: Turn) -> Usage:
    """The Run's Usage after this Turn; of one that does not say, the events are counted."""
    if turn.usage is not None:
        return turn.usage
    return before.plus(events=len(turn.consumed), steps=0, input_bytes=0, turn_bytes=0)


@dataclass(frozen=True, slots=True)
class Effects:
    """What the world must be asked for. Every part may be asked twice."""

    offer: list[OpenJob] = field(default_factory=list)
    cancel: list[OpenJob] = field(default_factory=list)
    call: list[OpenCall] = field(default_factory=list)
    recall: list[OpenCall] = field(default_factory=list)
    enter: OpenGroup | None = None
    leave: OpenGroup | None = None
    arm: float | None = None
    disarm: bool = False

    @property
    def touches_timer(self) -> bool:
        """Whether the Run's one timer is set or unset."""
        return self.arm is not None or self.disarm


@dataclass(frozen=True, slots=True)
class Armed:
    """The Run's pending wake-up, as far as it is known: `due` None, there is none.

    Not `is_sure` after a load: whoever made the Turn before may still be about to set or unset it.
    """

    due: float | None = None
    is_sure: bool = True


def effects_of(before: HistoryView, turn: Turn, armed: Armed) -> Effects:
    """The normal path: only what this Turn added to what was wanted before it."""
    jobs = {(job.key, job.attempt, job.cancelling) for job in before.open.jobs}
    calls = {(call.key, call.cancelling) for call in before.open.calls}
    added = Open(
        jobs=[j for j in turn.open.jobs if (j.key, j.attempt, j.cancelling) not in jobs],
        calls=[c for c in turn.open.calls if (c.key, c.cancelling) not in calls],
        group=turn.open.group if turn.open.group != before.open.group else None,
    )
    return _wanting(added, *_timer(turn.state, turn.wake_at, armed))


def repair_of(view: HistoryView, armed: Armed) -> Effects:
    """Everything that is open: what a dead engine may have left undone. Level-triggered."""
    return _wanting(view.open, *_timer(view.state, view.wake_at, armed))


def _wanting(wanted: Open, arm: float | None, disarm: bool) -> Effects:
    group = wanted.group
    return Effects(
        offer=[job for job in wanted.jobs if not job.cancelling],
        cancel=[job for job in wanted.jobs if job.cancelling],
        call=[call for call in wanted.calls if not call.cancelling],
        recall=[call for call in wanted.calls if call.cancelling],
        enter=group if group is not None and not (group.entered or group.leaving) else None,
        leave=group if group is not None and group.leaving else None,
        arm=arm,
        disarm=disarm,
    )


def _timer(state: RunState, wanted: float | None, armed: Armed) -> tuple[float | None, bool]:
    """(due to arm, whether to disarm) to get from what is armed to what is wanted.

    A pause leaves the timer alone: one that fires meanwhile is an input like any that waits.
    """
    if state is RunState.PAUSED or (armed.is_sure and wanted == armed.due):
        return None, False
    return wanted, wanted is None
