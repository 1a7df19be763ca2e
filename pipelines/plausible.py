"""Plausible: what a Turn may say before it is committed. Pure.

A plan runs in the same interpreter as the driver that answers for it, so an answer may hold
anything that decodes. What was committed is carried out: whatever cannot be carried out, or would
be somebody else's, must be found before. What an honest driver answers always passes.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from pipelines.commands import Command, Open, OpenGroup, Result, StepKind, StepState
from pipelines.guest.limits import STEPS_RUN_MAX
from pipelines.history import HistoryView
from pipelines.job import JobRequest
from pipelines.run import FINAL, RunState
from pipelines.turn import TurnOutcome

KEY_CHARS_MAX = 8_192
GROUP_CHARS_MAX = 256
POOL = re.compile(r"[A-Za-z0-9_-]{1,64}")
ATTEMPTS_MAX = 1_000_000
# One message, and what the host adds to it; see `staunch.jobs.REQUEST_CHARS_MAX`.
REQUEST_BYTES_MAX = 7_500_000
COMMANDS_MAX = 10_000
NOTE_CHARS_MAX = 2_000
CALLS_TURN_MAX = 1_000
CALLS_DEPTH_MAX = 8
# No wait that an author can ask for ends later: the year 6000 or so.
MOMENT_MAX = 130_000_000_000.0
# How far the times of one Turn may be apart by rounding.
ROUNDING_S = 1e-3


def implausible(
    view: HistoryView, outcome: TurnOutcome, times: Sequence[float], *, depth: int = 0
) -> str | None:
    """What of an outcome cannot be, in words; None: it may be committed.

    `view` is the Run before it, `times` what its inputs say of time (seconds since the epoch), and
    `depth` how many Runs are above it.
    """
    wrong = [_wrong(view, outcome, times), _wrong_calls(outcome, depth), _wrong_end(outcome)]
    return next((said for each in wrong for said in each), None)


def _wrong(view: HistoryView, outcome: TurnOutcome, times: Sequence[float]) -> Iterator[str]:
    latest = max([view.now, *times])
    if not math.isfinite(outcome.now) or outcome.now > latest + ROUNDING_S:
        yield f"it says that it is {outcome.now}"
    if len(outcome.commands) > COMMANDS_MAX:
        yield f"it asks for {len(outcome.commands):,} things at once"
    for command in outcome.commands:
        yield from _wrong_command(command)
    for result in outcome.results:
        yield from _wrong_result(result)
    if not 0 <= outcome.steps <= STEPS_RUN_MAX:
        yield f"it counts {outcome.steps:,} steps"
    if outcome.note is not None and len(outcome.note.text) > NOTE_CHARS_MAX:
        yield f"its note has {len(outcome.note.text):,} characters"
    dues = [outcome.wake_at, *(wait.due for wait in outcome.open.waits)]
    dues += [gate.terms.due for gate in outcome.open.gates]
    dues += [pause.due for pause in outcome.open.pauses]
    yield from (f"it waits until {due}" for due in dues if not _is_moment(due))
    yield from _wrong_open(view, outcome)
    yield from _wrong_group(view.open.group, outcome.open.group)


def _wrong_command(command: Command) -> Iterator[str]:
    what = f"{command.kind} {command.key[:80]!r}"
    if not 0 < len(command.key) <= KEY_CHARS_MAX:
        yield f"a step's key has {len(command.key)} characters"
    if not 1 <= command.attempt <= ATTEMPTS_MAX:
        yield f"{what} has attempt {command.attempt}"
    if not _is_moment(command.due):
        yield f"{what} waits until {command.due}"
    # A job or a call that is recalled from another Run asks for nothing.
    if command.request is not None and command.kind is not StepKind.JOB:
        yield f"{what} asks something of a runner"
    if command.call is not None and command.kind is not StepKind.CALL:
        yield f"{what} calls a pipeline"
    if command.request is not None:
        yield from _wrong_request(what, command.request)


def _wrong_request(what: str, request: JobRequest) -> Iterator[str]:
    if not POOL.fullmatch(request.pool):
        yield f"{what} is for pool {request.pool[:80]!r}, which cannot be"
    if wrong := [one for one in request.labels if not POOL.fullmatch(one)]:
        yield f"{what} asks for the label {wrong[0][:80]!r}, which cannot be"
    if (size := len(msgspec.json.encode(request))) > REQUEST_BYTES_MAX:
        yield f"{what} asks a runner for {size:,} bytes"


def _wrong_result(result: Result) -> Iterator[str]:
    what = f"the result of {result.kind} {result.key[:80]!r}"
    if not 0 < len(result.key) <= KEY_CHARS_MAX or not 1 <= result.attempt <= ATTEMPTS_MAX:
        yield f"{what} has attempt {result.attempt} and {len(result.key)} characters"
    if result.kind is StepKind.CALL and not _is_child(result.value):
        yield f"{what} names no run"
    is_open = result.kind is StepKind.GATE and result.state is StepState.SUCCEEDED
    if is_open and not _is_answer(result.value):
        yield f"{what} is no answer"


def _is_child(value: object) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("run"), str)


def _is_answer(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    by, comment = value.get("by"), value.get("comment", "")
    names = isinstance(by, list) and all(isinstance(name, str) for name in by)
    return names and isinstance(value.get("inputs", {}), Mapping) and isinstance(comment, str)


def _wrong_calls(outcome: TurnOutcome, depth: int) -> Iterator[str]:
    asked = [command.call for command in outcome.commands if command.call is not None]
    if asked and depth >= CALLS_DEPTH_MAX:
        yield f"it is {depth} calls deep, and calls"
    if len(asked) > CALLS_TURN_MAX:
        yield f"it calls {len(asked):,} pipelines at once"
    for call in asked:
        single = call.pipeline == "pipeline" and call.file == ".staunch.py"
        if call.file != f".staunch/{call.pipeline}.py" and not single:
            yield f"it calls pipeline {call.pipeline[:80]!r} in the file {call.file[:80]!r}"


def _wrong_end(outcome: TurnOutcome) -> Iterator[str]:
    """A Run that is over wants the end of what it began, and nothing else."""
    if outcome.end is None:
        return
    if (outcome.end.state is RunState.CONTINUED) != (outcome.end.continuation is not None):
        yield f"it is {outcome.end.state}, and says otherwise"
    if outcome.end.state not in FINAL:
        yield f"it ended as {outcome.end.state}"
    if outcome.wake_at is not None or not _is_all_ending(outcome.open):
        yield "it is over, and still wants something"


def _is_all_ending(wanted: Open) -> bool:
    if wanted.gates or wanted.waits or wanted.pauses:
        return False
    if wanted.group is not None and not wanted.group.leaving:
        return False
    calls = all(call.cancelling or call.detached for call in wanted.calls)
    return calls and all(job.cancelling for job in wanted.jobs)


def _wrong_open(view: HistoryView, outcome: TurnOutcome) -> Iterator[str]:
    jobs = set(view.requests) | {(c.key, c.attempt) for c in outcome.commands if c.request}
    calls = set(view.calls) | {c.key for c in outcome.commands if c.call}
    for job in outcome.open.jobs:
        if (job.key, job.attempt) not in jobs:
            yield f"it wants attempt {job.attempt} of job {job.key[:80]!r}, which it never began"
    for call in outcome.open.calls:
        if call.key not in calls:
            yield f"it wants call {call.key[:80]!r}, which it never began"


def _wrong_group(before: OpenGroup | None, group: OpenGroup | None) -> Iterator[str]:
    if group is not None and not 0 < len(group.key) <= GROUP_CHARS_MAX:
        yield f"its concurrency group's name has {len(group.key)} characters"
    if before is not None and (group is None or group.key != before.key):
        # It would stay in the one that it was in for ever.
        yield f"it forgot its concurrency group {before.key!r}"
        return
    if before is None or group is None:
        return
    if group.policy is not before.policy or (before.entered and not group.entered):
        yield f"it wants into its concurrency group {before.key!r} once more"


def _is_moment(due: float | None) -> bool:
    return due is None or 0.0 <= due <= MOMENT_MAX
