"""Shelves: the whole blob store, for whoever tidies it."""

from collections.abc import AsyncIterator

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from ci_host.adapters.blobs.reading import ObstoreReader
from ci_host.blob_ports import KeptBlob
from ci_host.ports import Unavailable
from pipelines.manifest import DIGEST, blob_path


class ObstoreShelves(ObstoreReader):
    """The blob store at an address; a folder is made if it is missing."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        is_folder = url.startswith("file:")
        self._store = LocalStore.from_url(url, mkdir=True) if is_folder else from_url(url)

    async def listed(self, below: str) -> AsyncIterator[KeptBlob]:
        """As the port says. What is no blob of ours is passed over."""
        try:
            async for batch in obstore.list(self._store, below):
                for one in batch:
                    folder, _, digest = one["path"].rpartition("/")
                    shelf, _, _ = folder.rpartition("/")
                    if DIGEST.match(digest):
                        at = one["last_modified"].timestamp()
                        yield KeptBlob(shelf=shelf, digest=digest, size=one["size"], at=at)
        except (BaseError, OSError) as error:
            raise Unavailable(f"{self._url}: {error}") from error

    async def remove(self, blob: KeptBlob) -> bool:
        """As the port says."""
        path = blob_path(blob.digest, blob.shelf)
        try:
            there = await obstore.head_async(self._store, path)
            if there["last_modified"].timestamp() != blob.at:
                return False
            await obstore.delete_async(self._store, path)
        except (NotFoundError, FileNotFoundError):
            return False
        except (BaseError, OSError) as error:
            raise Unavailable(f"{self._url}: {error}") from error
        return True
