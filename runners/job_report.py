"""The report of one Attempt, as its job directory says it.

Here: what becomes of an exit record, or of its absence, and of what the job handed over. What is
kept of its files is told by `kept_files`, when its report is durable by `attempt`.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from pipelines.events import JobFinished
from pipelines.job import Annotation, Coverage, JobSpec, Outcome, ReportedTests
from pipelines.service import ServiceReport
from runners import findings, job_directory, masked_findings, problems, reports, workspace

PROBLEM_BYTES_MAX = 64 * 1024


class ExitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`exit.json`, as the shim writes it."""

    outcome: Outcome
    exit_code: int | None
    message: str
    step: int
    step_offset: int
    started_at: float
    finished_at: float
    log_bytes: int
    denied: list[str] = []
    services: list[ServiceReport] = []


class JobReport:
    """Makes the report of the job in `directory`, whose shim is gone, or never came up."""

    def __init__(
        self, directory: Path, spec: JobSpec, *, runner: str, now: Callable[[], float]
    ) -> None:
        self._directory = directory
        self._workspace = directory / job_directory.WORKSPACE
        self._spec = spec
        self._runner = runner
        self._now = now

    async def make(self, failure: str, log_bytes: int) -> JobFinished:
        """`failure`: why its shim could not be started, or nothing; `log_bytes` are stored."""
        report = msgspec.structs.replace(self._ended(failure), log_bytes=log_bytes)
        return await self._with_reports(report)

    async def _with_reports(self, report: JobFinished) -> JobFinished:
        """The report with what the job's files say, however it ended by itself."""
        asked = self._spec.request.reports or {}
        if not asked or report.outcome not in (Outcome.SUCCEEDED, Outcome.FAILED):
            return report
        if self._spec.request.is_confided:
            # Its shim has read them, masked; what else they say is in the report.
            masked = masked_findings.read(self._directory)
            return _saying(report, masked.tests, masked.coverage)
        said = await reports.read(self._workspace, asked)
        left_out = [*(report.left_out or []), *said.left_out]
        more = msgspec.structs.replace(
            report,
            annotations=[*report.annotations, *said.annotations],
            left_out=left_out or msgspec.UNSET,
        )
        return _saying(more, said.tests, said.coverage)

    def _ended(self, failure: str) -> JobFinished:
        record = job_directory.read_record(str(self._directory), job_directory.EXIT)
        if record is not None:
            return self._report_of(msgspec.convert(record, ExitRecord))
        if failure:
            outcome, message = Outcome.REFUSED, f"the runner could not start the job: {failure}"
        else:
            outcome = Outcome.LOST
            message = "the runner lost the job: its keeper was killed, or the machine restarted"
        return self._finished(outcome=outcome, message=message)

    def _report_of(self, record: ExitRecord) -> JobFinished:
        is_success = record.outcome is Outcome.SUCCEEDED
        found = self._handed_over(is_success=is_success)
        if record.outcome is Outcome.FAILED:
            places = {(note.file, note.line) for note in found.annotations}
            found.annotations = found.annotations + [
                note for note in self._problems(record) if (note.file, note.line) not in places
            ]
        return self._finished(
            outcome=Outcome.FAILED if found.failure and is_success else record.outcome,
            exit_code=record.exit_code,
            message=(found.failure if is_success else "") or record.message,
            found=found,
            started_at=record.started_at,
            finished_at=record.finished_at,
            denied=record.denied,
            services=record.services,
        )

    def _handed_over(self, *, is_success: bool) -> findings.Findings:
        if self._spec.request.is_confided:
            return masked_findings.read(self._directory).found
        return findings.read(self._directory / job_directory.HANDED, is_success=is_success)

    def _problems(self, record: ExitRecord) -> list[Annotation]:
        begin = max(record.step_offset, record.log_bytes - PROBLEM_BYTES_MAX)
        log_file = self._directory / job_directory.LOG
        return problems.find_in(log_file, begin, PROBLEM_BYTES_MAX, self._workspace)

    def _finished(
        self,
        *,
        outcome: Outcome,
        message: str,
        exit_code: int | None = None,
        found: findings.Findings | None = None,
        started_at: float = 0.0,
        finished_at: float | None = None,
        denied: list[str] | None = None,
        services: list[ServiceReport] | None = None,
    ) -> JobFinished:
        found = findings.Findings() if found is None else found
        return JobFinished(
            job=self._spec.id,
            key=self._spec.key,
            attempt=self._spec.attempt,
            outcome=outcome,
            exit_code=exit_code,
            message=message,
            annotations=found.annotations,
            started_at=started_at,
            finished_at=self._now() if finished_at is None else finished_at,
            runner=self._runner,
            outputs=found.outputs or msgspec.UNSET,
            summary=found.summary or msgspec.UNSET,
            left_out=found.left_out or msgspec.UNSET,
            denied=denied or msgspec.UNSET,
            services=services or msgspec.UNSET,
            image=workspace.read_launch(self._directory).image or msgspec.UNSET,
        )


def _saying(
    report: JobFinished, tests: ReportedTests | None, coverage: Coverage | None
) -> JobFinished:
    return msgspec.structs.replace(
        report, tests=tests or msgspec.UNSET, coverage=coverage or msgspec.UNSET
    )
