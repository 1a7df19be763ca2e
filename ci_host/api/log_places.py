"""Log places: where in a log a line is, remembered by the host so that nobody reads it all again.

A log that is kept has an index of its own in the blob store (`pipelines.kept_log`). One that is
still on the bus has none: here its chunks are read once, each only when it is new, and some places
are noted. Nothing of this is needed: without it, it is read again.
"""

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.blob_ports import BlobReader
from pipelines import kept_log
from pipelines.ids import JobId
from pipelines.job import LogChunk
from pipelines.kept_log import HEADING_CHARS_MAX, HEADINGS_MAX, Heading, KeptLog, Piece
from pipelines.manifest import PIECES

LOGS_MAX = 500
INDEXES_MAX = 50
# A piece has 1 MiB.
PIECES_MAX = 16
PLACE_BYTES = 256 * 1024
# A chunk has at most 256 KiB.
CHUNKS_AT_ONCE = 32

T = TypeVar("T")


class Newest(Generic[T]):
    """The values that were used last, so many of them."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._values: OrderedDict[str, T] = OrderedDict()

    def get(self, key: str) -> T | None:
        """The value, which counts as used; None: it is not remembered."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: str, value: T) -> T:
        """Remember it instead of the one that was not used for longest."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._at_most:
            self._values.popitem(last=False)
        return value


@dataclass(frozen=True, slots=True)
class Mark:
    """A chunk: its offset, the sequence before it, and the first line that begins in or after it.
    `is_within`: the chunk itself begins in the midst of the line before."""

    offset: int
    after: int
    line: int
    is_within: bool = False


@dataclass(slots=True)
class LivePlaces:
    """A log on the bus, as far as it was read. `lines` counts whole ones, `rest` is how the line
    after them begins; `offset` and `sequence` are behind what was read."""

    lines: int = 0
    offset: int = 0
    sequence: int = 0
    rest: str = ""
    marks: list[Mark] = field(default_factory=lambda: [Mark(0, 0, 0)])
    headings: list[Heading] = field(default_factory=list)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, chunk: LogChunk, sequence: int) -> None:
        """Read on by a chunk."""
        if chunk.offset + chunk.size > self.offset:
            if chunk.offset - self.marks[-1].offset >= PLACE_BYTES:
                is_within = bool(self.rest)
                begun = self.lines + is_within
                self.marks.append(Mark(chunk.offset, self.sequence, begun, is_within))
            whole, end, rest = (self.rest + chunk.text).rpartition("\n")
            if end and len(self.headings) < HEADINGS_MAX:
                self.headings += kept_log.headings_in(whole, self.lines)
            self.lines += chunk.text.count("\n")
            self.rest = rest[:HEADING_CHARS_MAX]
            self.offset = chunk.offset + chunk.size
        self.sequence = sequence

    def before_line(self, line: int) -> Mark:
        """From where on to read to find it."""
        return self.marks[bisect_right([one.line for one in self.marks], line) - 1]

    def before_offset(self, offset: int) -> Mark:
        """From where on to read to go on behind so many bytes."""
        return self.marks[bisect_right([one.offset for one in self.marks], offset) - 1]


class LogPlaces:
    """One per host. What it remembers is bounded, and the oldest of it is forgotten."""

    def __init__(self) -> None:
        self._live: Newest[LivePlaces] = Newest(LOGS_MAX)
        self._indexes: Newest[KeptLog] = Newest(INDEXES_MAX)
        self._pieces: Newest[str] = Newest(PIECES_MAX)

    async def live(self, bus: Bus, job: JobId) -> LivePlaces:
        """The log as it is on the bus now: only what is new is read. Raises Unavailable."""
        found = self._live.get(job)
        if found is None:
            found = self._live.put(job, LivePlaces())
        async with found.reading:
            more = True
            while more:
                stored, more = await bus.page(
                    subjects.LOGS, subjects.log(job), found.sequence, CHUNKS_AT_ONCE
                )
                for message in stored:
                    chunk = msgspec.json.decode(message.body, type=LogChunk)
                    if not chunk.kept:
                        found.take(chunk, message.sequence)
                more = more and bool(stored)
        return found

    def known(self, job: JobId) -> LivePlaces:
        """What is remembered of it, which may be nothing."""
        return self._live.get(job) or LivePlaces()

    async def index(self, blobs: BlobReader, job: JobId, digest: str) -> KeptLog:
        """The index of a log that is kept. Raises Missing, Damaged, BadLog, Unavailable."""
        found = self._indexes.get(digest)
        if found is not None:
            return found
        content = await blobs.get(digest, kept_log.shelf_of_log(job))
        return self._indexes.put(digest, kept_log.decode(content))

    async def text(self, blobs: BlobReader, piece: Piece) -> str:
        """A piece of it. Raises Missing, Damaged, BadLog, Unavailable."""
        found = self._pieces.get(piece.digest)
        if found is not None:
            return found
        blob = await blobs.get(piece.digest, PIECES)
        content = await asyncio.to_thread(kept_log.unpacked, blob, piece)
        return self._pieces.put(piece.digest, content.decode("utf-8", "replace"))
