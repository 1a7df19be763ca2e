"""Reading blobs: obstore behind the BlobReader port. It writes nothing; that is the runners'."""

import asyncio
import hashlib

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url

from ci_host.ports import Damaged, Missing, Unavailable
from pipelines.manifest import blob_path


class ObstoreReader:
    """The blob store at an address."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def get(self, digest: str, shelf: str) -> bytes:
        """As the port says."""
        path = blob_path(digest, shelf)
        try:
            answer = await obstore.get_async(from_url(self._url), path)
            content = bytes(await answer.bytes_async())
        except (NotFoundError, FileNotFoundError) as error:
            raise Missing(f"{path} is not in {self._url}") from error
        except (BaseError, OSError) as error:
            raise Unavailable(f"{self._url}: {error}") from error
        found = (await asyncio.to_thread(hashlib.sha256, content)).hexdigest()
        if found != digest:
            raise Damaged(f"{path} in {self._url} is not what was kept: its digest is {found}")
        return content
