"""Job logs: one log, wherever it is: chunks on the bus while its job runs, then kept as a whole."""

from collections.abc import AsyncIterator

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.api.services import Services
from ci_host.ports import Damaged, Missing
from pipelines import kept_log
from pipelines.ids import JobId
from pipelines.job import LogChunk
from pipelines.kept_log import BadLog
from pipelines.manifest import PIECES

# What is longer is shown in parts.
LINE_BYTES_MAX = 1_000


class Reader:
    """Reads on from where it is: `behind` is the offset behind what was read."""

    def __init__(self, here: Services, job: JobId, offset: int = 0) -> None:
        self._here = here
        self._job = job
        self._sequence = here.places.known(job).before_offset(offset).after
        self.behind = offset

    async def more(self) -> AsyncIterator[LogChunk]:
        """What is there now and was not read. Raises Unavailable."""
        stored = await self._here.bus.read(subjects.LOGS, subjects.log(self._job), self._sequence)
        for message in stored:
            chunk = msgspec.json.decode(message.body, type=LogChunk)
            if chunk.kept:
                # Nothing, where the chunks before it had not been taken away yet.
                async for part in self._kept(chunk):
                    yield part
            elif chunk.offset + chunk.size > self.behind:
                self.behind = chunk.offset + chunk.size
                yield chunk
            self._sequence = message.sequence

    async def _kept(self, mark: LogChunk) -> AsyncIterator[LogChunk]:
        if self.behind >= mark.offset:
            return
        try:
            index = await self._here.places.index(self._here.blobs, self._job, mark.kept)
            for piece in index.from_offset(self.behind):
                blob = await self._here.blobs.get(piece.digest, PIECES)
                skip = max(0, self.behind - piece.offset)
                content = kept_log.unpacked(blob, piece)[skip:]
                self.behind = piece.offset + piece.size
                yield LogChunk(
                    offset=piece.offset + skip,
                    size=len(content),
                    at=mark.at,
                    text=content.decode("utf-8", "replace"),
                )
        except (Missing, Damaged, BadLog) as error:
            self.behind = mark.offset
            yield gone(mark, str(error))


async def mark_of(here: Services, job: JobId) -> LogChunk | None:
    """The last message of a log that is kept; None of one that is not, or not yet."""
    last = await here.bus.last(subjects.LOGS, subjects.log(job))
    if last is None:
        return None
    chunk = msgspec.json.decode(last.body, type=LogChunk)
    return chunk if chunk.kept else None


def gone(mark: LogChunk, why: str) -> LogChunk:
    """What is told instead of a log that is kept no longer."""
    return LogChunk(
        offset=mark.offset,
        size=0,
        at=mark.at,
        text=f"=== this log of {mark.offset:,} bytes is kept no longer, or cannot be read: {why}\n",
    )


class LastLines:
    """See LogTails: the ends of logs, wherever they are."""

    def __init__(self, here: Services) -> None:
        self._here = here

    async def last_lines(self, job: str, log_bytes: int, count: int) -> list[str]:
        """See LogTails. It is read from so far before its end as that many lines can be long."""
        first = max(0, log_bytes - count * LINE_BYTES_MAX)
        reader, text = Reader(self._here, JobId(job), first), ""
        async for chunk in reader.more():
            text = (text + chunk.text)[-count * LINE_BYTES_MAX :]
        lines = text.split("\n")
        # Where it was cut, the first is a part of one.
        whole = lines[1:] if first and len(lines) > count else lines
        return [line for line in whole if line.strip()][-count:]
