"""Desk: what registered Runners ask for, and whether they get it.

A Runner gets what belongs to a Job that it holds, and nothing else: it may be in other hands than
ours by now. Who asks is in the subject, which the bus has checked; that it holds the Job is in the
Lease, of which Repo and tier the Job is in the Lease's scope, which only this desk writes.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence

import structlog
from msgspec.structs import replace

from ci_host.desk_ports import BlobKeeper, DeskBus, DeskRefused, Packs
from ci_host.engine.registrations import Registrations, raw_key_of
from ci_host.ports import HistoryStore, Unavailable
from pipelines.cache import Entry, Scope, scope_written
from pipelines.desk import (
    HAVES_MAX,
    PART_BYTES_MAX,
    AppendAsked,
    BeatAsked,
    BlobAsked,
    BlobGiven,
    BlobJoined,
    BlobPart,
    CacheAsked,
    CacheKept,
    CancelFound,
    ClaimAsked,
    FinishAsked,
    JobAsked,
    LogEnd,
    SettleAsked,
    Settling,
    SourceAsked,
    SourceTold,
    StandAsked,
    Standing,
    StandingBy,
)
from pipelines.events import JobFinished
from pipelines.ids import RunId, StepKey, job_id
from pipelines.job import CancelJob, Lease, LeaseScope, Moving, Outcome, Source
from pipelines.kept_log import shelf_of_log
from pipelines.manifest import DIGEST, MANIFEST_BYTES_MAX, PIECES, shelf_of
from pipelines.service import NAME, owner_of_log
from pipelines.trust import Tier

LEASE_S_MAX = 3_600.0
# Of a sign of life: as many jobs as a runner has slots, and a few words of each.
MOVING_MAX, DOING_CHARS_MAX = 256, 80
PACK_WAIT_S = 5.0
PIECES_MAX = MANIFEST_BYTES_MAX // PART_BYTES_MAX + 1

log = structlog.get_logger()


class Desk:
    """Every method answers one verb of `pipelines.desk`, and may be repeated.

    All raise DeskRefused with why and what to do, or Unavailable.
    """

    def __init__(
        self,
        bus: DeskBus,
        registrations: Registrations,
        history: HistoryStore,
        blobs: BlobKeeper,
        packs: Packs,
        *,
        now: Callable[[], float],
    ) -> None:
        self._bus = bus
        self._registrations = registrations
        self._history = history
        self._blobs = blobs
        self._packs = packs
        self._now = now
        # Commits that are being packed, for whom the same ones are there.
        self._packing: dict[tuple[Source, tuple[str, ...]], asyncio.Task[SourceTold]] = {}

    async def stand(self, runner: str, _asked: StandAsked) -> Standing:
        """Who it is here."""
        known = await self._registrations.known(runner)
        await self._bus.prepare(known.pool)
        return known.standing

    async def beat(self, runner: str, asked: BeatAsked) -> Standing:
        """Of its pool it is by its registration, whatever it says."""
        known = await self._registrations.known(runner)
        told = BeatAsked(
            slots=0 if known.is_draining else asked.slots,
            version=asked.version[:100],
            moving={job: _in_short(one) for job, one in list(asked.moving.items())[:MOVING_MAX]},
        )
        await self._bus.beat(runner, known.pool, told)
        return known.standing

    # -- jobs

    async def claim(self, runner: str, asked: ClaimAsked) -> Lease:
        """The Lease of a Job of its pool that was really delivered."""
        known = await self._registrations.known(runner)
        spec = await self._bus.offered(asked.token, known.pool)
        if spec is None or spec.id != asked.lease.job:
            raise Unavailable(f"job {asked.lease.job} is not in the queue of pool {known.pool}")
        there = await self._bus.lease(spec.id)
        if there is not None:
            return there
        if known.is_draining:
            raise Unavailable(f"runner {runner} is being drained")
        await self._registrations.take(runner, spec.id)
        lease = Lease(
            job=spec.id,
            key=spec.key,
            runner=runner,
            started_at=self._now(),
            lease_s=min(asked.lease.lease_s, LEASE_S_MAX),
            verifier=raw_key_of(known.key) if asked.lease.verifier else b"",
            scope=LeaseScope(
                pool=known.pool,
                repo=spec.repo_id or spec.repo,
                tier=spec.tier,
                ref=spec.ref,
                source=spec.source,
            ),
        )
        return await self._bus.claim(lease)

    async def settle(self, runner: str, asked: SettleAsked) -> None:
        """A delivery is taken off the queue by the holder, or by one that finds the holder gone."""
        known = await self._registrations.known(runner)
        spec = await self._bus.offered(asked.token, known.pool)
        if spec is None or spec.id != asked.job:
            return
        lease = await self._bus.lease(spec.id)
        is_holder = lease is not None and lease.runner == runner
        if asked.how is Settling.DONE:
            if lease is None:
                raise DeskRefused(f"job {spec.id} was claimed by nobody: it cannot be over")
            if not (is_holder or await self._given_up(lease, spec.run, spec.attempt)):
                return
        elif asked.how is Settling.HOLD and not is_holder:
            return
        await self._bus.settle(asked.token, asked.how, asked.delay_s)
        if asked.how is Settling.DONE and is_holder:
            await self._registrations.spend(runner, spec.id)

    async def _given_up(self, lease: Lease, run: str, attempt: int) -> bool:
        """Whether the holder is silent; then its Job is lost, and is told to end.

        The word of another Runner would not do: the signs of life are looked at here.
        """
        heard = await self._bus.heard_at(lease.runner)
        silence_s = self._now() - max(lease.started_at, heard or 0.0)
        if silence_s < lease.lease_s:
            return False
        message = f"runner {lease.runner} has given no sign of life for {lease.lease_s:g} s"
        report = JobFinished(
            job=lease.job,
            key=lease.key,
            attempt=attempt,
            outcome=Outcome.LOST,
            message=message,
            started_at=lease.started_at,
            finished_at=self._now(),
            runner=lease.runner,
        )
        await self._history.append_input(RunId(run), report)
        await self._bus.cancel(CancelJob(job=lease.job, reason=f"given up as lost: {message}"))
        return True

    async def cancel_of(self, runner: str, asked: JobAsked) -> CancelFound:
        """The wish that its own Job ends."""
        if await self._own(runner, asked.job) is None:
            return CancelFound()
        return CancelFound(wish=await self._bus.cancel_of(asked.job))

    async def finish(self, runner: str, asked: FinishAsked, report: JobFinished) -> None:
        """Of its own Job. What it says of another's is dropped: `settle` looks for itself."""
        lease = await self._own(runner, asked.job)
        if lease is None:
            return
        run = RunId(asked.job.partition(".")[0])
        if report.job != asked.job or job_id(run, StepKey(lease.key), report.attempt) != report.job:
            raise DeskRefused(f"the report of job {asked.job} is of another one")
        await self._history.append_input(run, replace(report, runner=runner, key=lease.key))

    async def stand_by(self, runner: str, asked: StandingBy) -> None:
        """Its own Job waits for a terminal."""
        await self._held(runner, asked.standby.job)
        await self._bus.stand_by(replace(asked.standby, runner=runner))

    # -- logs

    async def log_end(self, runner: str, asked: JobAsked) -> LogEnd:
        """Of its own Job, or of a Service of that."""
        await self._check_log(runner, asked.job)
        return await self._bus.log_end(asked.job)

    async def log_append(self, runner: str, asked: AppendAsked) -> int:
        """To such a log. Raises Conflict."""
        await self._check_log(runner, asked.job)
        return await self._bus.append(asked.job, asked.chunk, asked.after)

    async def _check_log(self, runner: str, log_id: str) -> None:
        job, service = owner_of_log(log_id)
        if service and not NAME.fullmatch(service):
            raise DeskRefused(f"{service[:100]!r} can be no service of job {job}")
        await self._held(runner, job)

    # -- caches and blobs

    async def cache_newest(self, runner: str, asked: CacheAsked) -> Entry | None:
        """Of its own scope, or of a trusted one of the same Repo."""
        _, scope = await self._held(runner, asked.job)
        if not any(asked.subject.startswith(f"{one}.") for one in _readable(scope)):
            raise DeskRefused(f"cache {asked.subject} is not for job {asked.job}")
        return await self._bus.newest(asked.subject)

    async def cache_keep(self, runner: str, asked: CacheKept, entry: Entry) -> None:
        """In its own scope, while the Job is wanted."""
        lease, scope = await self._held(runner, asked.job)
        if not asked.subject.startswith(f"{_written(scope).subject}.") or "*" in asked.subject:
            raise DeskRefused(f"cache {asked.subject} is not job {asked.job}'s to write")
        await self._check_wanted(lease)
        await self._bus.keep(asked.subject, replace(entry, job=asked.job, at=self._now()))

    async def blob_get(self, runner: str, asked: BlobAsked) -> BlobPart:
        """A piece by its digest, or what lies on a shelf of the Job's. Raises Missing."""
        _, scope = await self._held(runner, asked.job)
        _check_digest(asked.digest)
        if asked.shelf != PIECES and not _may_read(scope, asked.shelf):
            raise DeskRefused(f"shelf {asked.shelf} is not for job {asked.job}")
        content, size = await self._blobs.part(
            asked.digest, asked.shelf, asked.offset, PART_BYTES_MAX
        )
        return BlobPart(content=content, size=size)

    async def blob_put(self, runner: str, asked: BlobGiven) -> bool:
        """Bytes under their own digest."""
        if len(asked.content) > PART_BYTES_MAX:
            raise DeskRefused(f"a piece of {len(asked.content):,} bytes; {PART_BYTES_MAX:,} may be")
        await self._check_write(runner, asked.job, asked.digest, asked.shelf)
        return await self._blobs.put(asked.digest, asked.shelf, asked.content)

    async def blob_join(self, runner: str, asked: BlobJoined) -> bool:
        """One that is too large for a message, of pieces that were put. Raises Missing."""
        await self._check_write(runner, asked.job, asked.digest, asked.shelf)
        if len(asked.pieces) > PIECES_MAX:
            raise DeskRefused(f"{len(asked.pieces)} pieces; {PIECES_MAX} may be joined")
        for piece in asked.pieces:
            _check_digest(piece)
        content = [await self._blobs.get(piece, PIECES) for piece in asked.pieces]
        return await self._blobs.put(asked.digest, asked.shelf, b"".join(content))

    async def _check_write(self, runner: str, job: str, digest: str, shelf: str) -> None:
        lease, scope = await self._held(runner, job)
        _check_digest(digest)
        if shelf in (PIECES, shelf_of_log(job)):
            return
        if shelf not in (shelf_of(scope.repo), _written(scope).shelf):
            raise DeskRefused(f"shelf {shelf} is not job {job}'s to write")
        await self._check_wanted(lease)

    # -- source

    async def source(self, runner: str, asked: SourceAsked) -> SourceTold:
        """The Job's own commit, put among the pieces of the blob store. Raises Missing.

        One that takes long is not waited for: Unavailable means that it is being made, and whoever
        asks again finds it.
        """
        _, scope = await self._held(runner, asked.job)
        haves = tuple(sorted(asked.haves[:HAVES_MAX]))
        key = (scope.source, haves)
        making = self._packing.get(key)
        if making is None:
            making = self._packing[key] = asyncio.create_task(self._pack(scope.source, haves))
        await asyncio.wait({making}, timeout=PACK_WAIT_S)
        if not making.done():
            raise Unavailable(f"commit {scope.source.commit} is being packed")
        self._packing.pop(key, None)
        told = making.result()
        log.info("source_told", runner=runner, job=asked.job, pieces=len(told.pieces))
        return told

    async def _pack(self, source: Source, haves: Sequence[str]) -> SourceTold:
        loop = asyncio.get_running_loop()
        packed = iter(self._packs.pack(source, haves, PART_BYTES_MAX))
        pieces: list[str] = []
        while piece := await loop.run_in_executor(None, next, packed, b""):
            digest = hashlib.sha256(piece).hexdigest()
            await self._blobs.put(digest, PIECES, piece)
            pieces.append(digest)
        ref = await loop.run_in_executor(None, self._packs.default_ref, source)
        return SourceTold(pieces=pieces, default_ref=ref)

    # -- whose is it

    async def _own(self, runner: str, job: str) -> Lease | None:
        lease = await self._bus.lease(job)
        return lease if lease is not None and lease.runner == runner else None

    async def _held(self, runner: str, job: str) -> tuple[Lease, LeaseScope]:
        lease = await self._own(runner, job)
        if lease is None or not isinstance(lease.scope, LeaseScope):
            raise DeskRefused(f"runner {runner} does not hold job {job}")
        return lease, lease.scope

    async def _check_wanted(self, lease: Lease) -> None:
        """Raises DeskRefused once the Attempt is over: its Lease outlives it."""
        run = RunId(lease.job.partition(".")[0])
        last = await self._history.last_turn(run)
        wanted = [] if last is None else last.turn.open.jobs
        if not any(job_id(run, StepKey(one.key), one.attempt) == lease.job for one in wanted):
            raise DeskRefused(f"job {lease.job} is not wanted by any run (any more)")


def _written(scope: LeaseScope) -> Scope:
    return scope_written(scope.repo, scope.tier, scope.ref)


def _readable(scope: LeaseScope) -> tuple[str, str]:
    trusted = Scope(repo=scope.repo, tier=Tier.TRUSTED, ref="").subject.rpartition(".")[0]
    return _written(scope).subject, trusted


def _may_read(scope: LeaseScope, shelf: str) -> bool:
    trusted = Scope(repo=scope.repo, tier=Tier.TRUSTED, ref="").shelf.rpartition("/")[0]
    return shelf in (shelf_of(scope.repo), _written(scope).shelf) or shelf.startswith(f"{trusted}/")


def _check_digest(digest: str) -> None:
    if not DIGEST.match(digest):
        raise DeskRefused(f"{digest[:80]!r} is no SHA-256")


def _in_short(one: Moving) -> Moving:
    return Moving(doing=one.doing[:DOING_CHARS_MAX], done=one.done, of=one.of)
