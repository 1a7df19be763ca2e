"""Fold: how one message of the bus changes the read model. Order within a stream is given.

Streams are folded side by side, so a Job's claim may come before the Turn that asked for it: rows
are made by whichever comes first and completed by the other.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from staunch.supposed import SUPPOSED

from ci_host.adapters.sql.fold_jobs import fold_job_finished, fold_queued
from ci_host.adapters.sql.rows import Rows
from ci_host.adapters.sql.tables import (
    InputRow,
    ProcessStartRow,
    RunRow,
    StepRow,
    TurnRow,
)
from ci_host.adapters.sql.turn_parts import encoded_parts
from pipelines.commands import Command, Result, StepKind, StepState
from pipelines.events import (
    CancelRequested,
    ChildFinished,
    GateAnswered,
    GroupEntered,
    GroupRefused,
    Input,
    JobFinished,
    KillRequested,
    PauseRequested,
    ResumeRequested,
    RetryRequested,
    RunStarted,
    SignalSent,
    TimerFired,
)
from pipelines.export import Export
from pipelines.ids import RunId, StepKey, child_id, successor_id
from pipelines.run import FINAL, RunState
from pipelines.status import shorten
from pipelines.turn import Turn

WORDS_CHARS_MAX = 500
# A value, an output or inputs as the pages and the API show them.
SHOWN_BYTES_MAX = 1_048_576


class ProcessStart(msgspec.Struct, frozen=True):
    """The message on `host.<role>.<incarnation>`."""

    role: str
    incarnation: str
    at: float


def fold_input(rows: Rows, run: str, sequence: int, at: float, value: Input) -> None:
    """Something happened to a Run."""
    kind = msgspec.to_builtins(value)["type"]
    # New for certain: the place in the stream is kept in the same transaction.
    rows.add(InputRow(run=run, sequence=sequence, at=at, type=kind, summary=summary_of(value)))
    match value:
        case RunStarted():
            rows.add(_run_row(value, at))
        case JobFinished():
            fold_job_finished(rows, run, value)
        case _:
            pass


def summary_of(value: Input) -> str:
    """An input in one line."""
    match value:
        case RunStarted():
            return f"{value.event.kind} {value.event.ref} {value.event.commit[:10]}"
        case JobFinished():
            return f"{value.key} #{value.attempt} {value.outcome}"
        case GateAnswered():
            act = "approved" if value.approved else "rejected"
            return _with_words(f"{value.key} {act} by {value.by}", value.comment)
        case SignalSent():
            return f"{value.name} by {value.by}"
        case TimerFired():
            return ""
        case RetryRequested():
            return f"{value.key} #{value.attempt} wanted now by {value.by}"
        case ChildFinished() | GroupEntered() | GroupRefused():
            return _from_other_runs(value)
        case ResumeRequested():
            return f"by {value.by}"
        case CancelRequested() | PauseRequested() | KillRequested():
            return _with_words(f"by {value.by}", value.reason)


def _from_other_runs(value: ChildFinished | GroupEntered | GroupRefused) -> str:
    match value:
        case ChildFinished():
            return f"{value.key} {value.state}"
        case GroupEntered():
            return value.key
        case GroupRefused():
            return value.reason


def _with_words(act: str, words: str) -> str:
    return act + (f": {shorten(words, WORDS_CHARS_MAX)}" if words else "")


def _run_row(started: RunStarted, at: float) -> RunRow:
    event = started.event
    return RunRow(
        id=started.run,
        repo=started.repo,
        repo_name=started.repo_name,
        connection=started.connection,
        pipeline=started.pipeline,
        file=started.file,
        bundle=started.bundle,
        event=event.kind,
        ref=event.ref,
        commit=event.commit,
        sender=event.sender,
        title=(event.message.splitlines() or [event.schedule.name if event.schedule else ""])[0],
        pull_request=event.pull_request.number if event.pull_request else None,
        state=RunState.PENDING,
        created_at=at,
        given_json=_given(started.inputs),
        parent=started.parent.run if started.parent else "",
        parent_step=started.parent.key if started.parent else "",
        shards=started.shards,
        attempt=started.rerun.attempt if started.rerun else 1,
        rerun_of=started.rerun.of if started.rerun else "",
        origin=started.rerun.origin if started.rerun else started.run,
        fork_of=started.fork.of if started.fork else "",
        continues=started.continues.of if started.continues else "",
        priority=started.level,
        trust_json=_trust(started),
    )


def _trust(started: RunStarted) -> str:
    if started.verdict is msgspec.UNSET:
        return msgspec.json.encode({"tier": started.tier}).decode()
    return msgspec.json.encode(started.verdict).decode()


def fold_import(rows: Rows, export: Export) -> None:
    """The record of a Run of another installation: shown as it is, and moved by nothing."""
    run = export.started.run
    for given in export.inputs:
        fold_input(rows, run, given.sequence, given.at, given.input)
    for stored in export.turns:
        fold_turn(rows, run, stored.sequence, stored.turn)
    row = rows.find(RunRow, run)
    assert row is not None, "an export begins with its Run"
    row.is_imported = True
    if row.state not in FINAL:
        row.waiting_for = "nothing: it was imported, and does not go on here"
    rows.add(row)


def fold_turn(
    rows: Rows, run: str, sequence: int, turn: Turn, stored_at: float | None = None
) -> None:
    """A Run decided something."""
    for position, command in enumerate(turn.commands):
        _fold_command(rows, run, turn, position, command)
    for result in turn.results:
        _fold_result(rows, run, turn, result.shown())
    for gate in turn.open.gates:
        step = rows.find(StepRow, run, gate.key)
        if step is not None:
            step.approved_by_json = msgspec.json.encode(gate.approved_by).decode()
            rows.add(step)
    _fold_state(rows, run, turn)
    row = rows.find(RunRow, run)
    rows.add(
        TurnRow(
            run=run,
            number=turn.number,
            at=turn.now,
            by=turn.by,
            sequence=sequence,
            inputs=len(turn.consumed),
            commands=len(turn.commands),
            results=len(turn.results),
            printed=turn.printed,
            state=turn.state,
            stored_at=stored_at,
            parts_json=encoded_parts(turn, "" if row is None else row.waiting_for),
        )
    )


def _fold_command(rows: Rows, run: str, turn: Turn, position: int, command: Command) -> None:
    asked: dict[str, Any] = {
        "state": StepState.RUNNING,
        "attempt": command.attempt,
        "due": command.gate.due if command.gate else command.due,
        "gate_json": msgspec.json.encode(command.gate).decode() if command.gate else None,
        "child": _child(rows, run, command),
    }
    # A key is asked for once with its first attempt: nothing to look for.
    step = rows.find(StepRow, run, command.key) if command.attempt > 1 else None
    if step is None:
        # In one call: each later assignment would be checked and noted on its own.
        step = StepRow(
            run=run,
            key=command.key,
            position=turn.number * 100_000 + position,
            kind=command.kind,
            started_at=turn.now,
            turn=turn.number,
            **asked,
        )
    else:
        step.sqlmodel_update(asked)
    rows.add(step)
    if command.kind is StepKind.JOB and command.key not in _recalled(turn):
        fold_queued(rows, run, turn.now, command)


def _recalled(turn: Turn) -> set[str]:
    """The Steps for which nobody is asked to do anything."""
    return {result.key for result in turn.results if result.recalled_from}


def _child(rows: Rows, run: str, command: Command) -> str:
    row = rows.find(RunRow, run)
    if command.kind is not StepKind.CALL or row is None:
        return ""
    return child_id(RunId(run), StepKey(command.key), row.shards)


def _fold_result(rows: Rows, run: str, turn: Turn, result: Result) -> None:
    step = rows.find(StepRow, run, result.key)
    if step is None:
        return
    step.state, step.attempt = result.state, result.attempt
    if result.state is not StepState.RETRYING:
        step.finished_at, step.settled_in = turn.now, turn.number
    step.recalled_from = result.recalled_from
    if result.recalled_from and result.kind is StepKind.CALL:
        # A call that is only supposed begins nothing.
        step.child = "" if result.recalled_from == SUPPOSED else result.value["run"]
    if result.error is not None:
        step.error_json = msgspec.json.encode(result.error).decode()
    elif result.value is not None:
        step.value_json = _kept(result)
    rows.add(step)


def _kept(result: Result) -> str:
    # Who answered at a gate is looked up in its value; that one has a limit of its own.
    text = msgspec.json.encode(result.value)
    return text.decode() if result.kind is StepKind.GATE else _shown(text)


def _shown(text: bytes) -> str:
    """A value's JSON; of what is too large to be shown, a sentence that says so."""
    shown = text if len(text) <= SHOWN_BYTES_MAX else msgspec.json.encode(_omitted(text))
    return shown.decode()


def _omitted(text: bytes) -> str:
    return f"({len(text):,} bytes: `staunch history` and `staunch export` have it)"


def _given(inputs: object) -> str:
    """As `_shown`, but always by name."""
    text = msgspec.json.encode(inputs)
    if len(text) <= SHOWN_BYTES_MAX:
        return text.decode()
    return msgspec.json.encode({"inputs": _omitted(text)}).decode()


def _fold_state(rows: Rows, run: str, turn: Turn) -> None:
    row = rows.find(RunRow, run)
    if row is None:
        return
    row.turns = turn.number
    row.state = turn.state
    sleeping = _sleeping(rows, run, turn)
    row.waiting_for = "" if turn.state in FINAL else waiting_for(turn, sleeping)
    row.open_json = msgspec.json.encode(turn.open).decode()
    row.paused_json = msgspec.json.encode(turn.paused).decode() if turn.paused else None
    row.wake_at = turn.wake_at
    if turn.usage is not None:
        row.usage_json = msgspec.json.encode(turn.usage).decode()
    if turn.note is not None:
        row.note_json = msgspec.json.encode(turn.note).decode() if turn.note.words() else None
    if turn.end is not None:
        row.finished_at = turn.now
        if turn.end.error is not None:
            row.error_json = msgspec.json.encode(turn.end.error).decode()
        if turn.end.continuation is not None:
            row.continued_as = successor_id(RunId(run))
        row.output_json = _shown(msgspec.json.encode(turn.end.output))
        for step in rows.open_steps(run):
            step.state, step.finished_at = StepState.CANCELLED, turn.now
            step.settled_in = turn.number
            rows.add(step)
    rows.add(row)


def _sleeping(rows: Rows, run: str, turn: Turn) -> list[str]:
    """The `sleep` Steps that are not over; a Run without a timer has none."""
    if turn.wake_at is None:
        return []
    return [step.key for step in rows.open_steps(run) if step.kind == StepKind.SLEEP]


def waiting_for(turn: Turn, sleeping: Sequence[str] = ()) -> str:
    """What a Run waits for after this Turn, in words; `api.waiting` has it in full."""
    if turn.paused is not None:
        since = datetime.fromtimestamp(turn.paused.since, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return _with_words(f"paused by {turn.paused.by} since {since}", turn.paused.reason)
    wanted = turn.open
    parts = [f"job {job.key}" for job in wanted.jobs if not job.cancelling]
    parts += [f"gate {gate.key}" for gate in wanted.gates]
    parts += [f"signal {' or '.join(wait.names) or wait.name}" for wait in wanted.waits]
    parts += [f"call {call.key}" for call in wanted.calls if not call.detached]
    parts += [f"a retry of {pause.key}" for pause in wanted.pauses]
    parts += [f"sleep {key}" for key in sleeping]
    if wanted.group is not None and not wanted.group.entered:
        parts.append(f"concurrency group {wanted.group.key}")
    if not parts:
        ends = [f"the end of job {job.key}" for job in wanted.jobs]
        parts = ends or ["nothing" if turn.wake_at is None else "a timer"]
    return ", ".join(parts)


def fold_process_start(rows: Rows, start: ProcessStart) -> None:
    """A process of the host began."""
    if rows.find(ProcessStartRow, start.role, start.incarnation) is None:
        rows.add(ProcessStartRow(role=start.role, incarnation=start.incarnation, at=start.at))
