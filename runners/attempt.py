"""One Attempt on this runner: from a laid-out job directory to a durable report.

Here: starting or finding its shim, storing its log, noticing its end, cancelling, reporting. It
holds nothing that is not on disk or on the bus, so it can be dropped at any point and made again
by the next agent. Not here: which jobs are taken (`agent`).
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog
from msgspec import structs

from pipelines.events import JobFinished
from pipelines.job import Annotation, JobSpec, Outcome
from runners import (
    artifacts,
    findings,
    job_directory,
    launcher,
    masked_findings,
    problems,
    reports,
    workspace,
)
from runners.attendance import attend
from runners.caches import Caches
from runners.kept_logs import keep_log
from runners.log_shipper import LogShipper
from runners.ports import (
    BlobStore,
    CacheIndex,
    JobQueue,
    LogSink,
    Refused,
    SecretSource,
    Unavailable,
)
from runners.unpacking import Owner

HOLD_S = 4.0
WATCH_S = 1.0
SHIM_RECORD_S = 0.02
RETRY_S_MIN, RETRY_S_MAX = 0.1, 5.0
PROBLEM_BYTES_MAX = 64 * 1024
BLOBS_PATIENCE_S = 600.0
SECRETS_PATIENCE_S = 600.0
BLOBS_AWAY = f"the blob store could not be reached for {BLOBS_PATIENCE_S:g} s"

T = TypeVar("T")

log = structlog.get_logger("runners.attempt")


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


class Attempt:
    """Keeps one job. `run` ends when the report is durable and the job is off the queue."""

    def __init__(
        self,
        directory: Path,
        *,
        queue: JobQueue,
        sink: LogSink,
        index: CacheIndex,
        runner: str,
        now: Callable[[], float],
        blobs: BlobStore | None = None,
        secrets: SecretSource | None = None,
    ) -> None:
        self.directory = directory
        self.spec: JobSpec = workspace.read_spec(directory)
        self.note = workspace.read_note(directory)
        self._queue = queue
        self._index = index
        self._runner = runner
        self._now = now
        self._blobs = blobs
        self._secrets = secrets
        self._ended = asyncio.Event()
        self._shipper = LogShipper(
            sink, job=self.spec.id, path=directory / job_directory.LOG, now=now
        )
        self._cancelled = False

    async def run(self) -> None:
        """Bring the job to its report. Cancelling this leaves the shim running."""
        async with asyncio.TaskGroup() as group:
            holding = group.create_task(self._hold())
            failure = await self._start()
            watching = group.create_task(self._watch())
            await self._shipper.run(self._ended)
            await watching
            report = await self._with_tests(self._report(failure))
            report = await self._with_caches(await self._with_artifacts(report))
            await until_done(lambda: self._queue.finish(report, self.spec.run))
            await self._keep_log()
            holding.cancel()
        log.info("job reported", job=self.spec.id, outcome=report.outcome, message=report.message)

    async def settle(self) -> None:
        """Take the job off the queue, after its report."""
        await until_done(lambda: self._queue.done(self.note.token))

    def adopt(self, token: str) -> None:
        """The queue delivered this job again: the newer delivery is the one to settle."""
        self.note = workspace.DeliveryNote(slot=self.note.slot, token=token)
        workspace.write_note(self.directory, self.note)

    def cancel(self, reason: str) -> None:
        """Ask the shim to end the job; what it then becomes, it says itself. Repeats do nothing."""
        if self._cancelled:
            return
        self._cancelled = True
        log.info("job is cancelled", job=self.spec.id, reason=reason)
        directory = str(self.directory)
        job_directory.write_record(directory, job_directory.CANCEL, {"reason": reason})
        # Only a nudge: the shim looks for the file once a second anyway.
        handle = self._shim_handle()
        if handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGTERM)
            os.close(handle)

    @property
    def wants_cancel_news(self) -> bool:
        """Whether a cancel would still change anything."""
        return not self._cancelled and not self._ended.is_set()

    async def _start(self) -> str:
        """Start the shim where nothing ran yet; answers why that failed, or nothing."""
        if job_directory.state_of(str(self.directory)) != job_directory.STARTING:
            return ""
        try:
            await self._place_files()
            # As late as can be, and into memory only: an agent that takes over asks again.
            await launcher.start_shim(self.directory, await self._open_secrets())
        except Refused as refusal:
            log.warning("job refused", job=self.spec.id, reason=str(refusal))
            return str(refusal)
        except (launcher.ShimFailed, artifacts.NotKept, OSError) as error:
            log.exception("shim failed", job=self.spec.id)
            return str(error)
        return ""

    async def _open_secrets(self) -> dict[str, str]:
        """The values by variable. Raises Refused."""
        source = self._secrets
        if not self.spec.request.is_confided:
            return {}
        if source is None:
            raise Refused("this runner has nobody who opens secrets for it")
        try:
            async with asyncio.timeout(SECRETS_PATIENCE_S):
                return await until_done(lambda: source.open(self.spec))
        except TimeoutError:
            said = f"no host answered for {SECRETS_PATIENCE_S:g} s what the job's secrets are"
            raise Refused(said) from None

    async def _place_files(self) -> None:
        """Anew after a crash on the way: nothing of the job has run by then. Raises NotKept."""
        asked = self.spec.request
        if not (asked.files or asked.caches) or self._blobs is None:
            return
        launch = workspace.read_launch(self.directory)
        owner = None
        if launch.uid is not None and launch.gid is not None:
            owner = Owner(uid=launch.uid, gid=launch.gid)
        caches = self._caches(self._blobs)
        lines = await self._with_patience(partial(caches.restore, owner))
        if lines:
            said = {"lines": lines}
            job_directory.write_record(str(self.directory), job_directory.PREFACE, said)
        await self._with_patience(
            partial(artifacts.place, self.spec, self._workspace, self._blobs, owner)
        )

    async def _with_patience(self, call: Callable[[], Awaitable[T]]) -> T:
        """Raises NotKept where the blob store stays away for too long."""
        try:
            async with asyncio.timeout(BLOBS_PATIENCE_S):
                return await until_done(call)
        except TimeoutError as error:
            raise artifacts.NotKept(BLOBS_AWAY) from error

    def _caches(self, store: BlobStore) -> Caches:
        return Caches(self.spec, self._workspace, store=store, index=self._index, now=self._now())

    async def _with_caches(self, report: JobFinished) -> JobFinished:
        """Of a job that succeeded: what it leaves can be relied on, as far as anybody knows."""
        if self._blobs is None or not self.spec.request.caches:
            return report
        if report.outcome is not Outcome.SUCCEEDED:
            return report
        try:
            problems = await self._with_patience(self._caches(self._blobs).save)
        except artifacts.NotKept as reason:
            problems = [f"caches are not kept: {reason}"]
        told = [*(report.left_out or []), *problems]
        return structs.replace(report, left_out=told or msgspec.UNSET)

    async def _with_artifacts(self, report: JobFinished) -> JobFinished:
        """Of a job whose end is known. One that succeeded without what it promised has failed."""
        if self._blobs is None or report.outcome in (Outcome.REFUSED, Outcome.LOST):
            return report
        try:
            kept = await self._with_patience(
                partial(artifacts.keep, self.spec, self._workspace, self._blobs)
            )
        except artifacts.NotKept as reason:
            kept = artifacts.Kept(problems=[str(reason)])
        if kept.artifacts:
            report = structs.replace(report, artifacts=kept.artifacts)
        if not kept.problems:
            return report
        if report.outcome is Outcome.SUCCEEDED:
            failed, why = Outcome.FAILED, kept.problems[0]
            report = structs.replace(report, outcome=failed, message=why, outputs=msgspec.UNSET)
        told = report.left_out or []
        return structs.replace(report, left_out=[*told, *kept.problems])

    async def _keep_log(self) -> None:
        """After the report, which nobody should wait for; until then the log is on the bus."""
        position = self._shipper.position
        if self._blobs is None or position.kept or not position.offset:
            return
        path = self.directory / job_directory.LOG
        try:
            kept = await self._with_patience(partial(keep_log, path, self.spec.id, self._blobs))
        except artifacts.NotKept as reason:
            log.warning("log stays on the bus", job=self.spec.id, reason=str(reason))
            return
        await self._shipper.seal(kept)

    @property
    def _workspace(self) -> Path:
        return self.directory / job_directory.WORKSPACE

    async def _hold(self) -> None:
        while True:
            attend(str(self.directory))
            with contextlib.suppress(Unavailable):
                await self._queue.hold(self.note.token)
            await asyncio.sleep(HOLD_S)

    async def _watch(self) -> None:
        """Set `ended` when the shim is gone: told by the kernel, and looked up now and then."""
        directory = str(self.directory)
        while job_directory.state_of(directory) == job_directory.RUNNING:
            handle = self._shim_handle()
            if handle is None:
                await asyncio.sleep(SHIM_RECORD_S)
                continue
            try:
                await _readable(handle, WATCH_S)
            finally:
                os.close(handle)
        self._ended.set()

    def _shim_handle(self) -> int | None:
        """A handle on the shim's process, surely that one and no later one with its number."""
        record = job_directory.read_record(str(self.directory), job_directory.SHIM)
        if record is None:
            return None
        try:
            handle = os.pidfd_open(record["pid"])
        except ProcessLookupError:
            return None
        if job_directory.identity_of(record["pid"]) == record:
            return handle
        os.close(handle)
        return None

    async def _with_tests(self, report: JobFinished) -> JobFinished:
        """The report with what the job's files say of its tests, however it ended by itself."""
        asked = self.spec.request.reports or {}
        if "junit" not in asked or report.outcome not in (Outcome.SUCCEEDED, Outcome.FAILED):
            return report
        if self.spec.request.is_confided:
            # Its shim has read them, masked; what it left out is in the report.
            masked = masked_findings.read(self.directory).tests
            return report if masked is None else msgspec.structs.replace(report, tests=masked)
        tests, left_out = await reports.tests_of(self._workspace, asked["junit"])
        said = [*(report.left_out or []), *left_out]
        return msgspec.structs.replace(report, tests=tests, left_out=said or msgspec.UNSET)

    def _report(self, failure: str) -> JobFinished:
        record = job_directory.read_record(str(self.directory), job_directory.EXIT)
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
        )

    def _handed_over(self, *, is_success: bool) -> findings.Findings:
        if self.spec.request.is_confided:
            return masked_findings.read(self.directory).found
        return findings.read(self.directory / job_directory.HANDED, is_success=is_success)

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
    ) -> JobFinished:
        found = findings.Findings() if found is None else found
        return JobFinished(
            job=self.spec.id,
            key=self.spec.key,
            attempt=self.spec.attempt,
            outcome=outcome,
            exit_code=exit_code,
            message=message,
            annotations=found.annotations,
            started_at=started_at,
            finished_at=self._now() if finished_at is None else finished_at,
            runner=self._runner,
            log_bytes=self._shipper.position.offset,
            outputs=found.outputs or msgspec.UNSET,
            summary=found.summary or msgspec.UNSET,
            left_out=found.left_out or msgspec.UNSET,
            denied=denied or msgspec.UNSET,
            image=workspace.read_launch(self.directory).image or msgspec.UNSET,
        )

    def _problems(self, record: ExitRecord) -> list[Annotation]:
        begin = max(record.step_offset, record.log_bytes - PROBLEM_BYTES_MAX)
        log_file = self.directory / job_directory.LOG
        return problems.find_in(log_file, begin, PROBLEM_BYTES_MAX, self._workspace)


async def until_done(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat `call`, which may be repeated without harm, until the other side has answered."""
    delay = RETRY_S_MIN
    while True:
        try:
            return await call()
        except Unavailable as reason:
            log.warning("retrying", reason=str(reason), delay_s=delay)
            await asyncio.sleep(delay)
            delay = min(RETRY_S_MAX, delay * 2)


async def _readable(descriptor: int, timeout_s: float) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await ready.wait()
    finally:
        loop.remove_reader(descriptor)
