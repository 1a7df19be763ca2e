"""One Attempt on this runner: from a laid-out job directory to a durable report.

Here: starting or finding its shim, storing its log, noticing its end, cancelling, reporting. It
holds nothing that is not on disk or on the bus, so it can be dropped at any point and made again
by the next agent. Not here: which jobs are taken (`agent`).
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import structlog

from pipelines.job import JobSpec, Moving
from pipelines.service import log_of_service
from runners import artifacts, job_directory, launcher, service_files, workspace
from runners.attendance import attend
from runners.job_report import JobReport
from runners.kept_files import KeptFiles
from runners.log_shipper import LogShipper
from runners.ports import (
    BlobStore,
    CacheIndex,
    JobQueue,
    LogSink,
    Refused,
    SecretSource,
    ShellLink,
    Unavailable,
)
from runners.retrying import until_done
from runners.terminals import Terminals

HOLD_S = 4.0
WATCH_S = 1.0
SHIM_RECORD_S = 0.02
SECRETS_PATIENCE_S = 600.0

log = structlog.get_logger("runners.attempt")


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
        shells: ShellLink | None = None,
        zygote: launcher.Zygote | None = None,
    ) -> None:
        self.directory = directory
        self.spec: JobSpec = workspace.read_spec(directory)
        self.note = workspace.read_note(directory)
        self._queue = queue
        self._secrets = secrets
        self._zygote = zygote
        self._terminals: Terminals | None = None
        if shells is not None and self.spec.wait_s:
            self._terminals = Terminals(directory, self.spec, link=shells, runner=runner)
        self._files: KeptFiles | None = None
        if blobs is not None:
            self._files = KeptFiles(directory, self.spec, store=blobs, index=index, now=now)
        self._report = JobReport(directory, self.spec, runner=runner, now=now)
        self._ended = asyncio.Event()
        self._shipper = LogShipper(
            sink, job=self.spec.id, path=directory / job_directory.LOG, now=now
        )
        self._beside = [
            LogShipper(sink, job=log_of_service(self.spec.id, one.name), path=path, now=now)
            for one in self.spec.request.services
            for path in [service_files.Places(directory, one.name).log]
        ]
        self._cancelled = False

    async def run(self) -> None:
        """Bring the job to its report. Cancelling this leaves the shim running."""
        async with asyncio.TaskGroup() as group:
            meanwhile = [group.create_task(self._hold())]
            if self._terminals is not None:
                meanwhile.append(group.create_task(self._terminals.serve()))
            failure = await self._start()
            watching = group.create_task(self._watch())
            beside = [group.create_task(one.run(self._ended)) for one in self._beside]
            await self._shipper.run(self._ended)
            await asyncio.gather(watching, *beside)
            report = await self._report.make(failure, self._shipper.position.offset)
            if self._files is not None:
                report = await self._files.gather(report)
            await until_done(lambda: self._queue.finish(report, self.spec.run))
            await self._keep_logs()
            for task in meanwhile:
                task.cancel()
        log.info("job reported", job=self.spec.id, outcome=report.outcome, message=report.message)

    @property
    def moving(self) -> Moving | None:
        """How far its files are; None where none are on their way."""
        return None if self._files is None else self._files.progress.told()

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
            if self._files is not None:
                await self._files.place()
            # As late as can be, and into memory only: an agent that takes over asks again.
            told = await self._open_secrets()
            await launcher.start_shim(self.directory, told, self._zygote)
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

    async def _keep_logs(self) -> None:
        """After the report, which nobody should wait for; until then the logs are on the bus."""
        if self._files is None:
            return
        for shipper in (self._shipper, *self._beside):
            if not shipper.position.kept and shipper.position.offset:
                kept = await self._files.keep_log(shipper.path)
                if kept is not None:
                    await shipper.seal(kept)

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
