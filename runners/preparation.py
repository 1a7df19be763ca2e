"""Preparation: what a claimed job needs on this machine before it can be laid out.

Here: its commit and its images, which may take minutes to come. Meanwhile the queue is told that
the job is worked on. What is prepared is kept, so a job that is delivered again finds it there.
"""

import asyncio
import contextlib

import msgspec
from msgspec import structs

from pipelines.job import JobSpec
from runners.ports import (
    BlobStore,
    Delivery,
    ImageRoot,
    ImageStore,
    JobQueue,
    SourceStore,
    Unavailable,
)
from runners.retrying import until_done

HOLD_S = 4.0


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """The job with its files as they are found here, the root that it wants (None: the machine's
    own), and those of its services that want one."""

    spec: JobSpec
    root: ImageRoot | None = None
    beside: dict[str, ImageRoot] = {}


class Preparation:
    """Of all jobs of one agent. `sources`: None where the host's mirrors are on this machine."""

    def __init__(
        self,
        queue: JobQueue,
        *,
        images: ImageStore | None,
        sources: SourceStore | None,
        blobs: BlobStore | None,
    ) -> None:
        self._queue = queue
        self._images = images
        self._sources = sources
        self._blobs = blobs
        self._under_way: set[str] = set()

    def is_under_way(self, job: str) -> bool:
        """Whether this very job is being prepared, in another slot."""
        return job in self._under_way

    async def ready(self, delivery: Delivery) -> Prepared:
        """All of it. Raises Refused."""
        holding = asyncio.create_task(self._hold(delivery.token))
        self._under_way.add(delivery.spec.id)
        try:
            spec = await self._with_source(delivery.spec)
            root, beside = await self._roots_of(spec)
        finally:
            self._under_way.discard(delivery.spec.id)
            holding.cancel()
        return Prepared(spec=spec, root=root, beside=beside)

    async def _with_source(self, spec: JobSpec) -> JobSpec:
        sources, blobs = self._sources, self._blobs
        if sources is None or blobs is None:
            return spec
        source = await until_done(lambda: sources.ready(spec, blobs.of(spec.id)))
        return structs.replace(spec, source=source)

    async def _roots_of(self, spec: JobSpec) -> tuple[ImageRoot | None, dict[str, ImageRoot]]:
        """None, if there are no images here: the executor says what that means."""
        request = spec.request
        wanted = {one.name: one.image for one in request.services if one.image}
        if self._images is None or not (request.image or wanted):
            return None, {}
        root = await self._images.ready(request.image) if request.image else None
        return root, {name: await self._images.ready(image) for name, image in wanted.items()}

    async def _hold(self, token: str) -> None:
        while True:
            await asyncio.sleep(HOLD_S)
            with contextlib.suppress(Unavailable):
                await self._queue.hold(token)
