"""The agent: takes jobs for its free slots, claims each before any work, and keeps it to the end.

Here: claiming, adopting, recovering, cancelling, heartbeats. Not here: how one job is kept
(`attempt`), how it is confined (`executors`), how the bus is spoken (`link`).

What a crash leaves, and what the next agent of the same data directory makes of it:

    lease, no job directory        nothing was started: run it
    directory, nothing started     start its shim
    directory, shim running        attach: the log goes on from where it is stored
    directory, shim gone           report what exit.json says, else lost
    report sent, directory left    report again; the History drops the repeat
    reported, still on the queue   the mark in `reported/` says so: acknowledge only
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import structlog

from pipelines.events import JobFinished
from pipelines.job import HOST, LEASE_S, CancelJob, JobSpec, Lease, Moving, Outcome
from runners import workspace
from runners.attempt import Attempt
from runners.data_directory import DataDirectory
from runners.launcher import Zygote
from runners.ports import (
    BlobStore,
    CacheIndex,
    Delivery,
    Executor,
    Heartbeat,
    ImageStore,
    JobQueue,
    LogSink,
    Refused,
    SecretSource,
    ShellLink,
    SourceStore,
    Unavailable,
)
from runners.preparation import Preparation, Unwanted
from runners.retrying import until_done
from runners.signs_of_life import HEARTBEAT_S, SignsOfLife

FOREIGN_DELAY_S = 5.0
FOREIGN_DELAY_S_MIN = 0.1
RETRY_S = 0.5
FAULT_DELAY_S = 5.0
CANCEL_AGAIN_S = 0.1

log = structlog.get_logger("runners.agent")


class Agent:
    """One runner's loop. All state that matters is in `data` and on the bus."""

    def __init__(
        self,
        *,
        data: DataDirectory,
        queue: JobQueue,
        sink: LogSink,
        index: CacheIndex,
        executor: Executor,
        heartbeat: Heartbeat,
        signs: SignsOfLife,
        now: Callable[[], float],
        lease_s: float = LEASE_S,
        blobs: BlobStore | None = None,
        images: ImageStore | None = None,
        secrets: SecretSource | None = None,
        shells: ShellLink | None = None,
        sources: SourceStore | None = None,
        is_single: bool = False,
        zygote: Zygote | None = None,
    ) -> None:
        """`lease_s`: for how long this runner may be silent before others give up its jobs.
        `sources`: None where the host's mirrors are on this machine. `is_single`: it ends after
        one job."""
        self._data = data
        self._queue = queue
        self._sink = sink
        self._index = index
        self._executor = executor
        self._heartbeat = heartbeat
        self._runner = heartbeat.runner
        self._signs = signs
        self._now = now
        self._lease_s = lease_s
        self._blobs = blobs
        self._secrets = secrets
        self._shells = shells
        self._preparation = Preparation(queue, images=images, sources=sources, blobs=blobs)
        self._is_single = is_single
        self._zygote = zygote
        self._attempts: dict[str, Attempt] = {}
        # Set by the one job of a runner that is there for one.
        self._is_over = asyncio.Event()

    async def run(self, stop: asyncio.Event, *, drain: bool = False) -> None:
        """Work until `stop`. Jobs that run then go on without an agent, unless `drain` waits."""
        if self._zygote is not None:
            self._zygote.start()
        recovered = self._recover()
        found = [task for _, task in recovered]
        slots = [
            asyncio.create_task(self._serve(slot, [t for s, t in recovered if s == slot], stop))
            for slot in range(self._heartbeat.slots)
        ]
        # Listening comes first: its own sign of life is what tells that it can hear.
        beside = (self._follow_beats(), self._follow_cancels(), self._beat())
        others = [asyncio.create_task(one) for one in beside]
        await _first_of(stop, self._is_over)
        log.info("stopping", running=sorted(self._attempts), drain=drain)
        with contextlib.suppress(Unavailable):
            await self._queue.release()
        if drain:
            await asyncio.gather(*slots, *found)
        await _cancel_all({*slots, *others, *found})
        if self._zygote is not None:
            self._zygote.close()

    # -- slots

    def _recover(self) -> list[tuple[int, asyncio.Task[None]]]:
        """Take up every job that has a directory, in its own slot."""
        for path in self._data.leftovers():
            workspace.remove(path)
        self._data.forget_old(self._now())
        recovered = []
        for path in self._data.job_directories():
            try:
                attempt = self._attempt(path)
            except (OSError, ValueError):
                log.exception("job directory cannot be read, left as it is", directory=str(path))
                continue
            log.info("job found", job=attempt.spec.id, slot=attempt.note.slot)
            recovered.append((attempt.note.slot, asyncio.create_task(self._keep_found(attempt))))
        return recovered

    async def _keep_found(self, attempt: Attempt) -> None:
        try:
            await self._keep(attempt)
        except Exception:
            log.exception("job not kept, a fault of the runner", job=attempt.spec.id)

    async def _serve(self, slot: int, found: list[asyncio.Task[None]], stop: asyncio.Event) -> None:
        await asyncio.gather(*found)
        while not (stop.is_set() or self._is_over.is_set()):
            try:
                delivery = await self._queue.next()
            except Unavailable as reason:
                log.warning("no jobs can be taken", reason=str(reason))
                await asyncio.sleep(RETRY_S)
                continue
            if delivery is not None:
                await self._take(slot, delivery)

    async def _take(self, slot: int, delivery: Delivery) -> None:
        """One delivery. Whatever goes wrong here must not end the slot."""
        job = delivery.spec.id
        try:
            await self._decide(slot, delivery)
        except Unavailable as reason:
            # Not settled, so it comes again; all that was done so far is safe to meet again.
            log.warning("job not taken, the bus is away", job=job, reason=str(reason))
            await asyncio.sleep(RETRY_S)
        except Exception:
            log.exception("job not taken, a fault of the runner", job=job)
            with contextlib.suppress(Unavailable):
                await self._queue.later(delivery.token, FAULT_DELAY_S)

    async def _decide(self, slot: int, delivery: Delivery) -> None:
        job = delivery.spec.id
        if self._data.is_reported(job):
            await self._queue.done(delivery.token)
            return
        if self._preparation.is_under_way(job):
            return  # in another slot; not settled, so it comes again
        known = self._attempts.get(job)
        if known is not None:
            known.adopt(delivery.token)
            return
        wish = Lease(
            job=job,
            key=delivery.spec.key,
            runner=self._runner,
            started_at=self._now(),
            lease_s=self._lease_s,
            verifier=self._verifier(delivery.spec),
        )
        lease = await self._queue.claim(wish)
        if lease.runner != self._runner:
            await self._meet_foreign(delivery, lease)
            return
        await self._work(slot, delivery)

    async def _meet_foreign(self, delivery: Delivery, lease: Lease) -> None:
        """Somebody else has the job: wait for them, or say that they are gone."""
        if lease.runner == HOST:
            # It gives no signs of life, and reports what it has taken back when it is there again.
            await self._queue.later(delivery.token, FOREIGN_DELAY_S)
            return
        self._signs.meet(lease.runner)
        left_s = lease.lease_s - self._signs.silence_s(lease.runner)
        if left_s > 0:
            delay_s = min(max(left_s, FOREIGN_DELAY_S_MIN), FOREIGN_DELAY_S)
            await self._queue.later(delivery.token, delay_s)
            return
        message = f"runner {lease.runner} has given no sign of life for {lease.lease_s:g} s"
        log.warning("job of a vanished runner", job=lease.job, runner=lease.runner)
        lost = (Outcome.LOST, message, lease.runner, lease.started_at)
        await self._report_unrun(delivery.spec, *lost)
        # Should that runner come back, it must not work on for nobody. After the report: a job
        # that is seen to be cancelled before that would be told as cancelled.
        wish = CancelJob(job=lease.job, reason=f"given up as lost: {message}")
        await until_done(lambda: self._queue.cancel(wish))
        await self._take_off(delivery)

    async def _work(self, slot: int, delivery: Delivery) -> None:
        job = delivery.spec.id
        directory = self._data.job(job)
        if directory.exists():
            # Laid out before, and then left by a fault of ours: it is taken up where it is.
            attempt = self._attempt(directory)
            attempt.adopt(delivery.token)
            await self._keep(attempt)
            return
        cancel = await self._queue.cancel_of(job)
        if cancel is not None:
            await self._answer_cancelled(delivery, cancel.reason)
            return
        try:
            self._check_blobs(delivery.spec)
            ready = await self._preparation.ready(delivery)
            launch = self._executor.plan(ready.spec, directory, slot, ready.root, ready.beside)
        except Unwanted as wish:
            await self._answer_cancelled(delivery, str(wish))
            return
        except Refused as refusal:
            log.warning("job refused", job=job, reason=str(refusal))
            await self._answer(delivery, Outcome.REFUSED, str(refusal))
            return
        workspace.create(
            directory,
            spec=ready.spec,
            launch=launch,
            note=workspace.DeliveryNote(slot=slot, token=delivery.token),
        )
        log.info("job taken", job=job, slot=slot)
        await self._keep(self._attempt(directory))

    def _check_blobs(self, spec: JobSpec) -> None:
        asked = spec.request
        if self._blobs is None and (asked.artifacts or asked.files or asked.caches):
            raise Refused(
                "this runner has no place for artifacts and caches; start it with --blobs and the"
                " address of the blob store that all runners share, e.g. --blobs s3://bucket"
            )

    def _verifier(self, spec: JobSpec) -> bytes:
        """What the lease of a job with secrets says of this runner."""
        asks = spec.request.is_confided
        return self._secrets.verifier if asks and self._secrets is not None else b""

    def _attempt(self, directory: Path) -> Attempt:
        attempt = Attempt(
            directory,
            queue=self._queue,
            sink=self._sink,
            index=self._index,
            runner=self._runner,
            now=self._now,
            blobs=None if self._blobs is None else self._blobs.of(directory.name),
            secrets=self._secrets,
            shells=self._shells,
            zygote=self._zygote,
        )
        self._attempts[attempt.spec.id] = attempt
        return attempt

    async def _keep(self, attempt: Attempt) -> None:
        job = attempt.spec.id
        try:
            # A cancel that came between the first look and now was told to nobody.
            await self._look_for_cancel(attempt)
            await attempt.run()
            self._data.mark_reported(job)
            await attempt.settle()
            await asyncio.to_thread(workspace.remove, attempt.directory)
        finally:
            del self._attempts[job]
        self._end_if_single()

    def _end_if_single(self) -> None:
        if self._is_single:
            self._is_over.set()

    async def _answer_cancelled(self, delivery: Delivery, reason: str) -> None:
        said = f"cancelled before it began: {reason or 'no reason given'}"
        await self._answer(delivery, Outcome.CANCELLED, said)

    async def _answer(self, delivery: Delivery, outcome: Outcome, message: str) -> None:
        """Report a job that nothing ran of, and take it off the queue."""
        await self._report_unrun(delivery.spec, outcome, message, self._runner, 0.0)
        await self._take_off(delivery)
        self._end_if_single()

    async def _report_unrun(
        self, spec: JobSpec, outcome: Outcome, message: str, runner: str, started_at: float
    ) -> None:
        report = JobFinished(
            job=spec.id,
            key=spec.key,
            attempt=spec.attempt,
            outcome=outcome,
            message=message,
            started_at=started_at,
            finished_at=self._now(),
            runner=runner,
        )
        await until_done(lambda: self._queue.finish(report, spec.run))

    async def _take_off(self, delivery: Delivery) -> None:
        self._data.mark_reported(delivery.spec.id)
        await until_done(lambda: self._queue.done(delivery.token))

    # -- beside the slots

    async def _beat(self) -> None:
        while True:
            try:
                await self._queue.beat(
                    Heartbeat(
                        runner=self._runner,
                        pools=self._heartbeat.pools,
                        at=self._now(),
                        slots=self._heartbeat.slots,
                        version=self._heartbeat.version,
                        moving=self._moving(),
                    )
                )
                for attempt in list(self._attempts.values()):
                    await self._look_for_cancel(attempt)
            except Unavailable as reason:
                log.warning("no sign of life sent", reason=str(reason))
            await asyncio.sleep(HEARTBEAT_S)

    def _moving(self) -> dict[str, Moving]:
        told = {job: attempt.moving for job, attempt in self._attempts.items()}
        return {job: one for job, one in told.items() if one is not None}

    async def _follow_beats(self) -> None:
        async for heartbeat in self._queue.beats():
            self._signs.hear(heartbeat.runner)

    async def _follow_cancels(self) -> None:
        """Cancels as they come; one that is missed is found with the next sign of life."""
        async for cancel in self._queue.cancels():
            attempt = self._attempts.get(cancel.job)
            if attempt is not None:
                attempt.cancel(cancel.reason)
            self._preparation.cancel(cancel.job, cancel.reason)

    async def _look_for_cancel(self, attempt: Attempt) -> None:
        if not attempt.wants_cancel_news:
            return
        with contextlib.suppress(Unavailable):
            cancel = await self._queue.cancel_of(attempt.spec.id)
            if cancel is not None:
                attempt.cancel(cancel.reason)


async def _first_of(*events: asyncio.Event) -> None:
    waiting = {asyncio.create_task(event.wait()) for event in events}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _cancel_all(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel until all are done: a wait that had just ended may swallow a cancellation."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=CANCEL_AGAIN_S)
