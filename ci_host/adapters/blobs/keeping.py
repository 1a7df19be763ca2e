"""Keeping blobs for Runners that have no store of their own. See BlobKeeper."""

import asyncio
import hashlib

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from ci_host.adapters.blobs.reading import ObstoreReader
from ci_host.ports import Damaged, Missing, Unavailable
from pipelines.manifest import blob_path


class ObstoreKeeper(ObstoreReader):
    """The blob store at an address; a folder is made if it is missing."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._url = url
        is_folder = url.startswith("file:")
        self._store = LocalStore.from_url(url, mkdir=True) if is_folder else from_url(url)

    async def part(self, digest: str, shelf: str, offset: int, size: int) -> tuple[bytes, int]:
        """As the port says."""
        path = blob_path(digest, shelf)
        try:
            whole = (await obstore.head_async(self._store, path))["size"]
            length = min(size, whole - offset)
            if length <= 0:
                return b"", whole
            content = await obstore.get_range_async(self._store, path, start=offset, length=length)
        except (NotFoundError, FileNotFoundError) as error:
            raise Missing(f"{path} is not in {self._url}") from error
        except (BaseError, OSError) as error:
            raise Unavailable(f"{self._url}: {error}") from error
        return bytes(content), whole

    async def put(self, digest: str, shelf: str, content: bytes) -> bool:
        """As the port says. It is written also where it is there: whoever sweeps by age must not
        take it from under somebody who has just been told that it is kept."""
        found = (await asyncio.to_thread(hashlib.sha256, content)).hexdigest()
        if found != digest:
            raise Damaged(f"what was sent as {digest} has the digest {found}")
        path = blob_path(digest, shelf)
        try:
            is_new = await self._is_missing(path)
            await obstore.put_async(self._store, path, content, use_multipart=False)
        except (BaseError, OSError) as error:
            raise Unavailable(f"{self._url}: {error}") from error
        return is_new

    async def _is_missing(self, path: str) -> bool:
        try:
            await obstore.head_async(self._store, path)
        except (NotFoundError, FileNotFoundError):
            return True
        return False
