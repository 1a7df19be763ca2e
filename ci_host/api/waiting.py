"""Waiting: everything that a Run waits for, one record for each, from the read model. Pure.

Every record has `kind`, `key` (empty: no step), `since` and `until` (seconds since the epoch; None:
not known, or without end) and `words`; what else it has depends on `kind`. A Run that is not over
always waits for something: at least for the engine, or for nothing that can ever come.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from rich.filesize import decimal

from ci_host.adapters.sql.queries import RunDetail
from ci_host.adapters.sql.tables import AttemptRow, StepRow
from ci_host.api.pools import Pools
from pipelines.commands import Open, OpenGate, OpenJob, OpenPause, OpenWait
from pipelines.job import Moving
from pipelines.turn import Paused

Record = dict[str, Any]


def waiting(detail: RunDetail, pools: Pools | None = None) -> list[Record]:
    """The records: pause, group, jobs, gates, signals, calls, retries, sleeps, timer, in order.

    With `pools` a queued job says why it waits (`held`), and so where no runner of its pool is
    alive (`lack`, else empty).
    """
    run = detail.run
    if run.finished_at is not None:
        return []
    if run.turns == 0:
        return [_record("engine", "", "the engine, which has yet to begin it", run.created_at)]
    found = list(_of(detail, pools))
    if found:
        return found
    last = max((turn.at for turn in detail.turns), default=run.created_at)
    said = "nothing: the plan awaits what no step, signal or timer will ever bring"
    return [_record("nothing", "", said, last)]


def _of(detail: RunDetail, pools: Pools | None) -> Iterator[Record]:
    run = detail.run
    wanted = msgspec.json.decode(run.open_json, type=Open)
    steps = {step.key: step for step in detail.steps}
    attempts = {(one.key, one.attempt): one for one in detail.attempts}
    if run.paused_json is not None:
        paused = msgspec.json.decode(run.paused_json, type=Paused)
        said = f"somebody to resume it: it was paused by {paused.by}"
        yield _record(
            "pause", "", said, paused.since, None, {"by": paused.by, "reason": paused.reason}
        )
    group = wanted.group
    if group is not None and not (group.entered or group.leaving):
        said = f"its turn in concurrency group {group.key}"
        yield _record("group", "", said, run.created_at, None, {"group": group.key})
    for job in wanted.jobs:
        yield _job(job, attempts.get((job.key, job.attempt)), steps.get(job.key), pools)
    for gate in wanted.gates:
        yield _gate(gate, steps.get(gate.key))
    for wait in wanted.waits:
        yield _signal(wait, steps.get(wait.key))
    for call in wanted.calls:
        if not call.detached:
            step = steps.get(call.key)
            child = "" if step is None else step.child
            ends = "the end of" if call.cancelling else "run"
            said = f"{ends} {child} of step {call.key}"
            yield _record("call", call.key, said, _since(step), None, {"run": child})
    for pause in wanted.pauses:
        yield _retry(pause, attempts.get((pause.key, pause.attempt - 1)), steps.get(pause.key))
    sleeping = [step for step in detail.steps if step.kind == "sleep" and step.state == "running"]
    for step in sleeping:
        yield _record("sleep", step.key, f"sleep {step.key}", step.started_at, step.due)
    yield from _timer(run.wake_at, wanted, sleeping)


def _job(
    job: OpenJob, attempt: AttemptRow | None, step: StepRow | None, pools: Pools | None
) -> Record:
    """A Job is queued, at work, being ended, or reported and not yet heard of by the plan."""
    name = f"job {job.key}" + (f", attempt {job.attempt}" if job.attempt > 1 else "")
    since, phase, runner, pool = _since(step), "queued", "", ""
    if attempt is not None:
        since, runner = attempt.queued_at or since, attempt.runner
        pool = attempt.pool
        if attempt.started_at is not None:
            since, phase = attempt.started_at, "running"
        if attempt.finished_at is not None:
            since, phase = attempt.finished_at, "reported"
    if job.cancelling and phase != "reported":
        phase = "ending"
    held = pools.held.get(attempt.job) if pools is not None and attempt is not None else None
    runs_on = (held.pool if held is not None else "") or pool or "default"
    said = {
        "queued": f"a runner of pool {runs_on} for {name}",
        "running": f"{name}, which runs on {runner or 'a runner'}",
        "ending": f"the end of {name}, which is cancelled",
        "reported": f"the engine, which has yet to hear how {name} ended",
    }[phase]
    lack = pools.lack(runs_on) if pools is not None and phase == "queued" else ""
    why = lack or (held.words if held is not None and phase == "queued" else "")
    moving = None
    if pools is not None and attempt is not None and phase == "running":
        moving = pools.moving.get((runner, attempt.job))
    if moving is not None:
        why = moving_words(moving)
    if why:
        said += f" ({why})"
    more = {
        "attempt": job.attempt,
        "phase": phase,
        "runner": runner,
        "pool": pool,
        "lack": lack,
        "held": why if phase == "queued" else "",
        "moving": None if moving is None else {**msgspec.to_builtins(moving), "words": why},
        "before": held.before if held is not None and phase == "queued" else None,
    }
    return _record("job", job.key, said, since, None, more)


def moving_words(moving: Moving) -> str:
    """How far the files of a job are, for people."""
    done = decimal(moving.done)
    if not moving.of:
        return f"{moving.doing}, {done} so far"
    part = min(100, 100 * moving.done // moving.of)
    return f"{moving.doing}, {done} of {decimal(moving.of)}, {part} %"


def _gate(gate: OpenGate, step: StepRow | None) -> Record:
    terms = gate.terms
    count = f"{len(gate.approved_by)} of {terms.needed} approvals"
    by = f" ({', '.join(gate.approved_by)})" if gate.approved_by else ""
    who = ", ".join(terms.approvers) or "anybody"
    barred = f", but not {', '.join(terms.barred)}" if terms.barred else ""
    said = f"gate {gate.key}: {count}{by}, {who} may answer{barred}"
    more = {**msgspec.to_builtins(terms), "approved_by": gate.approved_by}
    del more["due"]
    return _record("gate", gate.key, said, _since(step), terms.due, more)


def _signal(wait: OpenWait, step: StepRow | None) -> Record:
    names = wait.names or [wait.name]
    fields = msgspec.json.encode(wait.match).decode() if wait.match else ""
    said = f"signal {' or '.join(names)}" + (f" with {fields}" if fields else "")
    more = {"names": names, "match": wait.match}
    return _record("signal", wait.key, said, _since(step), wait.due, more)


def _retry(pause: OpenPause, before: AttemptRow | None, step: StepRow | None) -> Record:
    ended = None if before is None else before.finished_at
    said = f"attempt {pause.attempt} of step {pause.key}"
    more = {"attempt": pause.attempt}
    return _record("retry", pause.key, said, ended or _since(step), pause.due, more)


def _timer(wake_at: float | None, wanted: Open, sleeping: list[StepRow]) -> Iterator[Record]:
    """The plan's own `asyncio.sleep` or `timeout`, or the Run's: no step says what it is for."""
    dues = {gate.terms.due for gate in wanted.gates} | {wait.due for wait in wanted.waits}
    dues |= {pause.due for pause in wanted.pauses} | {step.due for step in sleeping}
    if wake_at is not None and wake_at not in dues:
        yield _record(
            "timer", "", "a timer, of the plan's own or of the run's time-out", None, wake_at
        )


def _since(step: StepRow | None) -> float | None:
    return None if step is None else step.started_at


def _record(
    kind: str,
    key: str,
    words: str,
    since: float | None,
    until: float | None = None,
    more: Record | None = None,
) -> Record:
    common = {"kind": kind, "key": key, "since": since, "until": until, "words": words}
    return common | (more or {})
