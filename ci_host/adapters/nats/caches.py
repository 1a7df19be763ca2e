"""Caches on record: the stream CACHES, for whoever tidies it. Runners write and read it."""

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.sweep import sweep
from ci_host.blob_ports import CacheRecord
from pipelines.cache import Entry
from pipelines.manifest import CACHES


class NatsCacheRecords:
    """CacheRecords over the bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def kept(self) -> list[CacheRecord]:
        """As the port says."""
        found = []
        async for one in sweep(self._bus, subjects.CACHES, "cache.>"):
            _, tier, repo, ref, *_ = one.subject.split(".")
            found.append(
                CacheRecord(
                    subject=one.subject,
                    owner=f"{tier}.{repo}",
                    shelf=f"{CACHES}/{tier}/{repo}/{ref}",
                    entry=msgspec.json.decode(one.body, type=Entry),
                )
            )
        return found

    async def forget(self, record: CacheRecord) -> None:
        """As the port says."""
        await self._bus.purge(subjects.CACHES, record.subject)
