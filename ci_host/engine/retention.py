"""Retention: what runners keep is given up by age and size, and never while anything refers to it.

Here: what is given up, and in which order. Artifacts and logs go by age; caches by what a Repo may
have, the longest unused first (and by the age that their stream knows); pieces when nothing names
them.
Manifests go before their pieces, so a crash on the way leaves only what the next sweep finds.

A runner puts a piece anew that is older than half of SETTLED_S, and then the Manifest that names
it: what is younger than SETTLED_S may be named by one that no sweep has seen.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import msgspec
import structlog

from ci_host.blob_ports import BlobShelves, CacheRecord, CacheRecords, KeptBlob
from ci_host.ports import Damaged, Missing, Unavailable
from pipelines import kept_log, manifest

SETTLED_S = 86_400.0
EVERY_S = 6 * 3_600.0
FIRST_AFTER_S = 300.0

log = structlog.get_logger()


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep gave up."""

    artifacts: int = 0
    logs: int = 0
    caches: int = 0
    pieces: int = 0
    size: int = 0


class Retention:
    """Sweeps one blob store. Several at once do no harm."""

    def __init__(
        self,
        blobs: BlobShelves,
        records: CacheRecords,
        *,
        now: Callable[[], float],
        artifacts_s: float,
        logs_s: float,
        cache_bytes_max: int,
    ) -> None:
        """`cache_bytes_max`: of all caches of a Repo, in each tier by itself."""
        self._blobs = blobs
        self._records = records
        self._now = now
        self._artifacts_s = artifacts_s
        self._logs_s = logs_s
        self._cache_bytes_max = cache_bytes_max

    async def serve(self, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Sweep now and then, until cancelled."""
        await pause(FIRST_AFTER_S)
        while True:
            try:
                swept = await self.sweep()
                log.info("blobs_swept", **msgspec.structs.asdict(swept))
            except Unavailable as reason:
                log.warning("blobs_not_swept", reason=str(reason))
            await pause(EVERY_S)

    async def sweep(self) -> Swept:
        """Give up what is due. Raises Unavailable; what was given up until then stays so."""
        live: set[str] = set()
        artifacts, size = await self._artifacts(live)
        logs, logged = await self._logs(live)
        caches, more = await self._caches(live)
        pieces = 0
        async for piece in self._blobs.listed(manifest.PIECES):
            if piece.digest in live or self._is_unsettled(piece):
                continue
            if await self._blobs.remove(piece):
                pieces += 1
                size += piece.size
        return Swept(
            artifacts=artifacts, logs=logs, caches=caches, pieces=pieces, size=size + more + logged
        )

    async def _artifacts(self, live: set[str]) -> tuple[int, int]:
        return await self._by_age(manifest.ARTIFACTS, self._artifacts_s, _pieces_of_tree, live)

    async def _logs(self, live: set[str]) -> tuple[int, int]:
        return await self._by_age(manifest.LOGS, self._logs_s, _pieces_of_log, live)

    async def _by_age(
        self, shelf: str, age_s: float, pieces: Callable[[bytes], set[str]], live: set[str]
    ) -> tuple[int, int]:
        """Those that are too old go; the pieces of the others are added to `live`."""
        removed = size = 0
        async for blob in self._blobs.listed(shelf):
            if self._now() - blob.at > age_s and await self._blobs.remove(blob):
                removed += 1
                size += blob.size
            else:
                live |= await self._pieces(blob, pieces)
        return removed, size

    async def _caches(self, live: set[str]) -> tuple[int, int]:
        """Those over the limit go, and the Manifests of those that no job finds any more."""
        records = await self._records.kept()
        over = beyond(records, self._cache_bytes_max)
        for record in over:
            await self._records.forget(record)
        gone = {record.subject for record in over}
        found = {(one.shelf, one.entry.digest) for one in records if one.subject not in gone}
        size = 0
        async for blob in self._blobs.listed(manifest.CACHES):
            is_due = (blob.shelf, blob.digest) not in found and not self._is_unsettled(blob)
            if is_due and await self._blobs.remove(blob):
                size += blob.size
            else:
                live |= await self._pieces(blob, _pieces_of_tree)
        return len(over), size

    def _is_unsettled(self, blob: KeptBlob) -> bool:
        return self._now() - blob.at < SETTLED_S

    async def _pieces(self, blob: KeptBlob, pieces: Callable[[bytes], set[str]]) -> set[str]:
        """What it names; nothing, where nobody can read it any more."""
        try:
            return pieces(await self._blobs.get(blob.digest, blob.shelf))
        except (Missing, Damaged, manifest.BadManifest, kept_log.BadLog) as error:
            log.warning("manifest_unreadable", shelf=blob.shelf, reason=str(error))
            return set()


def _pieces_of_tree(content: bytes) -> set[str]:
    files = (one for one in manifest.decode(content).entries if isinstance(one, manifest.File))
    return {digest for file in files for digest in file.chunks}


def _pieces_of_log(content: bytes) -> set[str]:
    return {piece.digest for piece in kept_log.decode(content).pieces}


def beyond(records: Iterable[CacheRecord], bytes_max: int) -> list[CacheRecord]:
    """What goes so that no owner has more than `bytes_max`: the longest unused first."""
    used: dict[str, int] = {}
    over = []
    for record in sorted(records, key=lambda one: one.entry.at, reverse=True):
        used[record.owner] = used.get(record.owner, 0) + record.entry.size
        if used[record.owner] > bytes_max:
            over.append(record)
    return over
