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

LOOK_S = 1.0


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """The job with its files as they are found here, the root that it wants (None: the machine's
    own), and those of its services that want one."""

    spec: JobSpec
    root: ImageRoot | None = None
    beside: dict[str, ImageRoot] = {}


class Unwanted(Exception):
    """Somebody wishes for the job's end, and it has not begun; the message is their reason."""


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
        # Each with the wish for its end that may come.
        self._under_way: dict[str, asyncio.Future[str]] = {}
        self._given_up: set[asyncio.Task[Prepared]] = set()

    def is_under_way(self, job: str) -> bool:
        """Whether this very job is being prepared, in another slot."""
        return job in self._under_way

    def cancel(self, job: str, reason: str) -> None:
        """Wish for the end of a job that is being prepared; no error where it is not."""
        wish = self._under_way.get(job)
        if wish is not None and not wish.done():
            wish.set_result(reason)

    async def ready(self, delivery: Delivery) -> Prepared:
        """All of it. Raises Refused, and Unwanted if the job is cancelled meanwhile."""
        if not self._takes_time(delivery.spec):
            return await self._prepared(delivery.spec)
        job = delivery.spec.id
        wish = self._under_way[job] = asyncio.get_running_loop().create_future()
        holding = asyncio.create_task(self._hold(delivery))
        preparing = asyncio.create_task(self._prepared(delivery.spec))
        try:
            await asyncio.wait({preparing, wish}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            preparing.cancel()
            raise
        finally:
            del self._under_way[job]
            holding.cancel()
        if wish.done():
            # It goes on to its end, for the next job that wants the same.
            self._given_up.add(preparing)
            preparing.add_done_callback(self._let_go)
            raise Unwanted(wish.result())
        return preparing.result()

    def _takes_time(self, spec: JobSpec) -> bool:
        wanted = [spec.request.image, *(one.image for one in spec.request.services)]
        return self._sources is not None or (self._images is not None and any(wanted))

    def _let_go(self, given_up: "asyncio.Task[Prepared]") -> None:
        self._given_up.discard(given_up)
        if not given_up.cancelled():
            # Nobody waits for its failure: looked at, it is not told as forgotten.
            given_up.exception()

    async def _prepared(self, given: JobSpec) -> Prepared:
        spec = await self._with_source(given)
        root, beside = await self._roots_of(spec)
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

    async def _hold(self, delivery: Delivery) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(Unavailable):
                await self._queue.hold(delivery.token)
                # One that was told before anybody listened, or while nobody could.
                wish = await self._queue.cancel_of(delivery.spec.id)
                if wish is not None:
                    self.cancel(delivery.spec.id, wish.reason)
