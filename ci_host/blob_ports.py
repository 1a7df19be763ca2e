"""Ports of the blob store as the host sees it, and of the caches that are kept there.

Writing to it is the runners'. Every port has a contract suite under tests/contract.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from pipelines.cache import Entry


class BlobReader(Protocol):
    """What runners keep: bytes by their SHA-256, on shelves."""

    async def get(self, digest: str, shelf: str) -> bytes:
        """Just these bytes. Raises Missing, Damaged, Unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBlob:
    """A blob that is there: since `at` (seconds since the epoch), with `size` bytes."""

    shelf: str
    digest: str
    size: int
    at: float


class BlobShelves(BlobReader, Protocol):
    """The blob store as a whole. Every method may raise Unavailable, and be called again."""

    def listed(self, below: str) -> AsyncIterator[KeptBlob]:
        """All blobs of a shelf, and of the shelves below it."""

    async def remove(self, blob: KeptBlob) -> bool:
        """Give it up, unless it was put anew since it was listed; False then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRecord:
    """A cache, where it is on record, and where it is kept. `owner`: of which Repo, and tier."""

    subject: str
    owner: str
    shelf: str
    entry: Entry


class CacheRecords(Protocol):
    """Which caches can be found by a job. Every method may raise Unavailable."""

    async def kept(self) -> list[CacheRecord]:
        """All of them."""

    async def forget(self, record: CacheRecord) -> None:
        """No job finds it any more."""
