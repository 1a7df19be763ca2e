"""Attempts of jobs in the read model: asked for, claimed, and over.

Here: what a Turn, a Lease and a report change of an Attempt's row. Steps and Runs are `fold`'s.
"""

import msgspec

from ci_host.adapters.sql.fold_tests import fold_tests
from ci_host.adapters.sql.rows import Rows
from ci_host.adapters.sql.tables import AttemptRow
from pipelines.commands import Command
from pipelines.events import JobFinished
from pipelines.ids import RunId, StepKey, job_id
from pipelines.job import HOST, JobRequest, Lease
from pipelines.service import ServiceReport


def fold_queued(rows: Rows, run: str, now: float, command: Command) -> None:
    """A Run has asked for it."""
    attempt = _attempt(rows, run, command.key, command.attempt)
    attempt.queued_at = now
    if command.request is not None:
        attempt.pool = "" if command.request.labels else command.request.pool
        attempt.services_json = _services(command.request)
    rows.add(attempt)


def fold_lease(rows: Rows, lease: Lease) -> None:
    """A Runner has claimed an Attempt."""
    if lease.runner == HOST:
        return  # so that none does
    run, _, attempt = lease.job.split(".")
    row = _attempt(rows, run, lease.key, int(attempt))
    if row.finished_at is None:
        row.state = "running"
    row.started_at = row.started_at or lease.started_at
    row.runner = lease.runner
    rows.add(row)


def _attempt(rows: Rows, run: str, key: str, attempt: int) -> AttemptRow:
    identity = job_id(RunId(run), StepKey(key), attempt)
    row = rows.find(AttemptRow, identity)
    if row is None:
        row = AttemptRow(job=identity, run=run, key=key, attempt=attempt, state="queued")
        rows.add(row)
    return row


def fold_job_finished(rows: Rows, run: str, report: JobFinished) -> None:
    """A Runner has reported."""
    row = _attempt(rows, run, report.key, report.attempt)
    if row.finished_at is not None:
        return  # a late or repeated report changes nothing
    row.state = report.outcome
    row.started_at = report.started_at or row.started_at
    row.finished_at = report.finished_at
    row.exit_code = report.exit_code
    row.message = report.message
    row.annotations_json = msgspec.json.encode(report.annotations).decode()
    row.summary = report.summary or ""
    row.left_out_json = msgspec.json.encode(report.left_out or []).decode()
    row.image = report.image or ""
    if report.services:
        row.services_json = msgspec.json.encode(report.services).decode()
    row.denied_json = msgspec.json.encode(report.denied or []).decode()
    row.runner = report.runner or row.runner
    row.log_bytes = report.log_bytes
    row.artifacts_json = msgspec.json.encode(report.artifacts or []).decode()
    if report.coverage is not msgspec.UNSET:
        row.coverage_json = msgspec.json.encode(report.coverage).decode()
    if report.tests is not msgspec.UNSET:
        fold_tests(rows, row, report.tests)
    rows.add(row)


def _services(request: JobRequest) -> str:
    """Those that a job will have, as long as nothing is told of them."""
    asked = [
        ServiceReport(name=one.name, state="asked", image=one.image) for one in request.services
    ]
    return msgspec.json.encode(asked).decode()
