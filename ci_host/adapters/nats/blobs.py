"""NatsBlobs: bytes under their digest, in the stream BLOBS. What they mean others know."""

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.ports import Missing
from pipelines.ids import Digest, digest_of


class NatsBlobs:
    """Created once, and kept for ever. One message each: what is larger is cut by its owner."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def put(self, content: bytes) -> Digest:
        """Keep it; no error if it is there. Durable when it returns. Raises Unavailable."""
        digest = digest_of(content)
        await self._bus.put_once(subjects.blob(digest), content)
        return digest

    async def get(self, digest: Digest) -> bytes:
        """Raises Missing (not there, or not what was put), Unavailable."""
        stored = await self._bus.last(subjects.BLOBS, subjects.blob(digest))
        if stored is None or digest_of(stored.body) != digest:
            # Of a cluster, any server may have answered, also one that is a moment behind.
            stored = await self._bus.newest(subjects.BLOBS, subjects.blob(digest))
        if stored is None:
            raise Missing(f"{digest} is not in the store: was the store replaced?")
        if digest_of(stored.body) != digest:
            raise Missing(f"{digest} was altered in the store: it has another digest now")
        return stored.body
