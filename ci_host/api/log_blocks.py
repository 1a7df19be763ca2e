"""Log blocks: a log from any line on, some hundred kilobytes at a time, wherever the log is.

Of a log that is kept the pieces are read, else the chunks on the bus from the nearest place on that
is noted (`log_places.py`); never what is before.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.api.job_logs import gone, mark_of
from ci_host.api.log_places import CHUNKS_AT_ONCE
from ci_host.api.services import Services
from ci_host.ports import Damaged, Missing
from pipelines.ids import JobId
from pipelines.job import LogChunk
from pipelines.kept_log import BadLog, Heading, KeptLog

# Of a line that is longer, the rest is not looked at here; the raw log has it.
LINE_CHARS_MAX = 20_000
# So much text is answered at once, and a line more.
ANSWER_CHARS_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, each with its end but perhaps the log's last; `line`: the first's number."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Extent:
    """How long a log is by now: `offset` bytes. `headings` None: nobody has looked for them.
    `is_open`: its last line has no end yet."""

    lines: int
    offset: int
    headings: list[Heading] | None
    is_open: bool = False


async def extent(here: Services, job: JobId) -> Extent:
    """Raises Unavailable."""
    mark = await mark_of(here, job)
    if mark is not None:
        try:
            index = await here.places.index(here.blobs, job, mark.kept)
        except (Missing, Damaged, BadLog):
            return Extent(1, mark.offset, [])
        return Extent(index.lines, index.size, index.headings)
    live = await here.places.live(here.bus, job)
    is_open = bool(live.rest)
    return Extent(live.lines + is_open, live.offset, live.headings, is_open)


async def blocks(here: Services, job: JobId, line: int) -> AsyncIterator[Block]:
    """From a line on, or from some before it. Raises Unavailable."""
    mark = await mark_of(here, job)
    parts = _on_the_bus(here, job, line) if mark is None else _kept(here, job, mark, line)
    number, rest = -1, ""
    async for first, text in parts:
        if number < 0:
            number = first
        whole, end, new = (rest + text).rpartition("\n")
        if end:
            yield Block(number, whole + end)
            number += text.count("\n")
        rest = new[:LINE_CHARS_MAX]
    if rest:
        yield Block(number, rest)


async def _kept(
    here: Services, job: JobId, mark: LogChunk, line: int
) -> AsyncIterator[tuple[int, str]]:
    try:
        index: KeptLog = await here.places.index(here.blobs, job, mark.kept)
        offset, _ = index.offset_before_line(line)
        for piece in index.from_offset(offset):
            yield piece.line, await here.places.text(here.blobs, piece)
    except (Missing, Damaged, BadLog) as error:
        yield line, gone(mark, str(error)).text


async def _on_the_bus(here: Services, job: JobId, line: int) -> AsyncIterator[tuple[int, str]]:
    place = (await here.places.live(here.bus, job)).before_line(line)
    after, offset, is_within, is_new, more = place.after, place.offset, place.is_within, True, True
    while more:
        subject = subjects.log(job)
        stored, more = await here.bus.page(subjects.LOGS, subject, after, CHUNKS_AT_ONCE)
        more = more and bool(stored)
        for message in stored:
            chunk = msgspec.json.decode(message.body, type=LogChunk)
            after = message.sequence
            if chunk.kept and is_new:
                # It was kept, and its chunks taken away, while we looked.
                async for part in _kept(here, job, chunk, line):
                    yield part
                return
            if chunk.kept or chunk.offset + chunk.size <= offset:
                continue
            offset, is_new, text = chunk.offset + chunk.size, False, chunk.text
            if is_within:
                _, end, text = text.partition("\n")
                is_within = not end
            if text:
                yield place.line, text


async def lines_of(here: Services, job: JobId, first: int, count: int) -> list[str]:
    """Lines from the number `first` (from 0) on, without their ends: at most `count`, and fewer
    where they are long. Raises Unavailable."""
    lines: list[str] = []
    size = 0
    async for block in blocks(here, job, first):
        text = block.text.removesuffix("\n")
        for line in text.split("\n")[max(0, first - block.line) :]:
            lines.append(line[:LINE_CHARS_MAX])
            size += len(lines[-1])
            if len(lines) == count or size >= ANSWER_CHARS_MAX:
                return lines
    return lines
