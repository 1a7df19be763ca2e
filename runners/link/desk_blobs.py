"""Blobs of a registered runner: the host's store, reached over the bus. See BlobStore.

A message takes four megabytes, so a larger one goes in pieces: they are put by themselves, and the
host joins them.
"""

import asyncio
import hashlib

from pipelines import desk
from pipelines.desk import PART_BYTES_MAX, Verb
from pipelines.manifest import PIECES
from runners.artifacts import NotKept
from runners.link.desk import DeskLink
from runners.ports import Missing, Refused

ANSWER_S = 60.0


class DeskBlobs:
    """What one job may see of the store."""

    def __init__(self, link: DeskLink, job: str) -> None:
        self._link = link
        self._job = job

    def of(self, job: str) -> "DeskBlobs":
        """The same, for another job."""
        return DeskBlobs(self._link, job)

    async def put(self, digest: str, content: bytes, shelf: str = PIECES) -> bool:
        """As the port says."""
        try:
            if len(content) <= PART_BYTES_MAX:
                given = desk.BlobGiven(
                    job=self._job, digest=digest, shelf=shelf, content=bytes(content)
                )
                return await self._link.ask(Verb.BLOB_PUT, given, bool, ANSWER_S)
            pieces = [await self._put_piece(content, at) for at in _starts(len(content))]
            joined = desk.BlobJoined(job=self._job, digest=digest, shelf=shelf, pieces=pieces)
            return await self._link.ask(Verb.BLOB_JOIN, joined, bool, ANSWER_S)
        except Refused as refused:
            raise NotKept(str(refused)) from refused

    async def _put_piece(self, content: bytes, at: int) -> str:
        piece = content[at : at + PART_BYTES_MAX]
        digest = hashlib.sha256(piece).hexdigest()
        await self.put(digest, piece)
        return digest

    async def get(self, digest: str, shelf: str = PIECES) -> bytes:
        """As the port says."""
        content = bytearray()
        while True:
            asked = desk.BlobAsked(job=self._job, digest=digest, shelf=shelf, offset=len(content))
            try:
                part = await self._link.ask(Verb.BLOB_GET, asked, desk.BlobPart, ANSWER_S)
            except Refused as refused:
                raise Missing(str(refused)) from refused
            content += part.content
            if len(content) >= part.size or not part.content:
                break
        found = (await asyncio.to_thread(hashlib.sha256, content)).hexdigest()
        if found != digest:
            raise Missing(f"blob {digest} is damaged: its bytes have the digest {found}")
        return bytes(content)


def _starts(size: int) -> range:
    return range(0, size, PART_BYTES_MAX)
