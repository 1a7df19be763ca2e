"""Following a job's log on disk and storing it chunk by chunk: no byte lost, none repeated.

Here: where to cut, when to send, and how to go on after a doubt. The stored log itself says how far
it got, so there is no offset to remember: whenever something is unclear the shipper asks, and
continues from there. A chunk is stored only after the one before it; the sink guards that.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from pipelines.job import LogChunk
from runners.ports import LOG_CHUNK_BYTES_MAX, Conflict, LogSink, Position, TooLarge, Unavailable

INTERVAL_S = 0.05
LIVE_BYTES_MAX = 64 * 1024
RETRY_S_MIN, RETRY_S_MAX = 0.1, 2.0

log = structlog.get_logger("runners.log")


class LogShipper:
    """Stores one job's log. `run` returns when the log has ended and all of it is stored."""

    def __init__(self, sink: LogSink, *, job: str, path: Path, now: Callable[[], float]) -> None:
        self._sink = sink
        self._job = job
        self.path = path
        self._now = now
        self._bytes_max = LOG_CHUNK_BYTES_MAX
        self.position = Position()

    async def run(self, ended: asyncio.Event) -> int:
        """Follow the log until `ended` is set and its end is stored; answers its size."""
        self.position = await self._ask()
        descriptor = await self._open(ended)
        if descriptor is None:
            return 0
        try:
            while True:
                # Looked at before reading: what is written before the end is then read for sure.
                last = ended.is_set()
                data = os.pread(descriptor, self._bytes_max, self.position.offset)
                piece = cut(data, final=last)
                if piece:
                    await self._store(piece)
                elif last:
                    return self.position.offset
                if len(data) < LIVE_BYTES_MAX and not last:
                    await _wait(ended, INTERVAL_S)
        finally:
            os.close(descriptor)

    async def seal(self, kept: str) -> None:
        """Store where the whole log is kept, behind its last chunk. Repeatable."""
        while not self.position.kept:
            end = self.position
            mark = LogChunk(offset=end.offset, size=0, at=self._now(), text="", kept=kept)
            try:
                stored = await self._sink.append(self._job, mark, end.sequence)
            except (Conflict, Unavailable):
                # It may have been stored, and the answer lost.
                self.position = await self._ask()
            else:
                self.position = Position(sequence=stored, offset=end.offset, kept=True)

    async def _open(self, ended: asyncio.Event) -> int | None:
        while True:
            last = ended.is_set()
            with contextlib.suppress(FileNotFoundError):
                return os.open(self.path, os.O_RDONLY)
            if last:
                return None
            await _wait(ended, INTERVAL_S)

    async def _store(self, piece: bytes) -> None:
        offset, sequence = self.position.offset, self.position.sequence
        text = piece.decode("utf-8", "replace")
        chunk = LogChunk(offset=offset, size=len(piece), at=self._now(), text=text)
        try:
            stored = await self._sink.append(self._job, chunk, sequence)
        except TooLarge:
            # Control characters grow sixfold in JSON.
            self._bytes_max = max(1024, self._bytes_max // 2)
        except Conflict:
            # Ours, if an acknowledgement was lost; another's, if we are the second. Either way
            # the stored log tells where to go on, and the file behind both is the same.
            self.position = await self._ask()
        except Unavailable as reason:
            log.warning("log chunk not acknowledged", job=self._job, reason=str(reason))
            self.position = await self._ask()
        else:
            self.position = Position(sequence=stored, offset=offset + len(piece))

    async def _ask(self) -> Position:
        delay = RETRY_S_MIN
        while True:
            try:
                return await self._sink.end_of(self._job)
            except Unavailable:
                await asyncio.sleep(delay)
                delay = min(RETRY_S_MAX, delay * 2)


def cut(data: bytes, *, final: bool) -> bytes:
    """The longest part of `data` that can be sent now.

    A long piece ends at a line's end where it has one, a short one wherever whole characters end,
    so that a progress line is seen while it grows. With `final`, what is left goes as it is.
    """
    if len(data) >= LIVE_BYTES_MAX:
        line_end = data.rfind(b"\n") + 1
        if line_end > 0:
            return data[:line_end]
    whole = whole_characters(data)
    if whole == 0 and final:
        return data
    return data[:whole]


def whole_characters(data: bytes) -> int:
    """How many bytes of `data` come before a character that is cut off at its end."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return len(data)
        if byte >= 0xC0:
            wanted = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if back < wanted else len(data)
    # Four continuation bytes in a row are no character that any further byte could complete.
    return len(data)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def encoded(chunk: LogChunk) -> bytes:
    """The chunk as it is stored."""
    return msgspec.json.encode(chunk)
