"""Blobs: bytes kept under their own SHA-256, in a folder or a bucket.

Here: obstore behind the BlobStore port; nobody else knows it. `memory:///` is one for tests. What
the blobs are, and which are still needed, others know.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from pipelines.manifest import PIECES, blob_path
from runners.ports import Missing, Unavailable

ERRORS = (BaseError, OSError)
# Whoever sweeps leaves what is younger than a day: what is found here must not be older than that
# by the time somebody refers to it.
FRESH = timedelta(hours=12)


class Blobs:
    """One blob store. Safe to be used by many at once, in this process and others."""

    def __init__(self, url: str) -> None:
        """`file:///folder` (made if missing), `s3://bucket/prefix`, `gs://…`, `az://…`.

        Raises Unavailable for an address of no such kind.
        """
        self._url = url
        with _told(url):
            self._store = (
                LocalStore.from_url(url, mkdir=True) if url.startswith("file:") else from_url(url)
            )

    def of(self, job: str) -> "Blobs":
        """This one: nobody stands between it and a runner that has its address."""
        return self

    async def put(self, digest: str, content: bytes, shelf: str = PIECES) -> bool:
        """As the port says. Whoever is second with the same bytes finds them there."""
        path = blob_path(digest, shelf)
        with _told(path):
            # What is there already is not sent again: looking costs less than four megabytes.
            made = await self._made_at(path)
            if made is None or datetime.now(UTC) - made > FRESH:
                await obstore.put_async(self._store, path, content, use_multipart=False)
        return made is None

    async def _made_at(self, path: str) -> datetime | None:
        try:
            return (await obstore.head_async(self._store, path))["last_modified"]
        except (NotFoundError, FileNotFoundError):
            return None

    async def get(self, digest: str, shelf: str = PIECES) -> bytes:
        """As the port says."""
        path = blob_path(digest, shelf)
        with _told(path):
            try:
                answer = await obstore.get_async(self._store, path)
                content = await answer.bytes_async()
            except (NotFoundError, FileNotFoundError) as error:
                raise Missing(f"{path} is not in {self._url}") from error
        whole, found = await asyncio.to_thread(_copied, content)
        if found != digest:
            raise Missing(f"{path} in {self._url} is damaged: its bytes have the digest {found}")
        return whole


def _copied(content: obstore.Bytes) -> tuple[bytes, str]:
    """The bytes and their digest: both take a while, of a large piece."""
    whole = bytes(content)
    return whole, hashlib.sha256(whole).hexdigest()


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except ERRORS as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Unavailable(f"{what}: {first}") from error
