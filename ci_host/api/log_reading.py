"""Routes for whoever reads a log by parts: its outline, lines by number, and what holds a text."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from ci_host.adapters.sql.tables import AttemptRow
from ci_host.api.auth import Here, Person
from ci_host.api.failures import BROKEN
from ci_host.api.log_blocks import Extent, blocks, extent, lines_of
from ci_host.api.log_search import (
    MATCHES_MAX,
    NEEDLE_CHARS_MAX,
    SEARCH_CHARS_MAX,
    broken_line,
    failed_part,
    found_in,
)
from ci_host.api.logs import known_log
from ci_host.api.services import Services
from pipelines.ids import JobId

LINES_MAX = 10_000
LINE_MAX = 2**53
# Of the step that broke, so many of the last lines are looked at for the one that says why.
LOOKED_AT_LINES = 2_000

router = APIRouter(prefix="/api/v1/jobs", tags=["logs"])

LineNumber = Annotated[int, Query(ge=1, le=LINE_MAX)]


@router.get("/{job}/log/lines", summary="Lines of a job's log, by number")
async def read_lines(
    here: Here,
    _who: Person,
    job: str,
    first: LineNumber = 1,
    count: Annotated[int, Query(ge=1, le=LINES_MAX)] = 100,
) -> dict[str, Any]:
    """`lines` from the number `first` on; fewer than `count` where they are long, and each at most
    20,000 characters of one. Any line is found without reading those before it."""
    await known_log(here, job)
    return {"first": first, "lines": await lines_of(here, JobId(job), first - 1, count)}


@router.get("/{job}/log/outline", summary="How long a job's log is, and where it failed")
async def show_outline(here: Here, _who: Person, job: str) -> dict[str, Any]:
    """`offset`: the bytes behind these `lines`, from where its stream goes on; `is_open`: the last
    of them has no end yet. `headings`: the
    lines that begin or end a part; null: of a log that was kept by an older version. `failing`: the
    number of the line that says why the job failed, as far as a program can tell."""
    row = await known_log(here, job)
    found = await extent(here, JobId(job))
    return {
        "lines": found.lines,
        "offset": found.offset,
        "is_open": found.is_open,
        "headings": found.headings
        and [{"line": one.line + 1, "text": one.text} for one in found.headings],
        "failing": await failing_line(here, row, JobId(job), found),
        "state": row.state,
        "exit_code": row.exit_code,
        "is_over": row.finished_at is not None,
    }


@router.get("/{job}/log/search", summary="Which lines of a job's log hold a text")
async def search_log(
    here: Here,
    _who: Person,
    job: str,
    q: Annotated[str, Query(min_length=1, max_length=NEEDLE_CHARS_MAX)],
    first: LineNumber = 1,
    case: bool = False,
) -> dict[str, Any]:
    """The numbers of the `lines` that hold `q` as it stands, from the number `first` on; `case`:
    with its capitals. One answer is about a part of a long log: `next` is the following one's
    `first`, and null at the end."""
    await known_log(here, job)
    found: list[int] = []
    looked_at = 0
    async for block in blocks(here, JobId(job), first - 1):
        text, line = block.text, block.line
        held = await asyncio.to_thread(found_in, text, line, q, is_exact=case)
        found += [number + 1 for number in held if number >= first - 1]
        behind = line + text.count("\n") + 1
        # What is read only to come to `first` does not count: each answer is further than its ask.
        looked_at += len(text) if behind > first else 0
        if len(found) >= MATCHES_MAX:
            cut = found[:MATCHES_MAX]
            return {"lines": cut, "next": max(behind, first) if cut == found else cut[-1] + 1}
        if looked_at >= SEARCH_CHARS_MAX and text.endswith("\n"):
            return {"lines": found, "next": max(behind, first)}
    return {"lines": found, "next": None}


async def failing_line(here: Services, row: AttemptRow, job: JobId, found: Extent) -> int | None:
    """The number of the line that says why the job failed; None: it did not, or nobody can tell."""
    if row.state not in BROKEN or job != row.job or not found.lines:
        return None
    begin, end = failed_part(found.headings or [], found.lines)
    first = max(begin, end - LOOKED_AT_LINES)
    lines = await lines_of(here, job, first, end - first) if end > first else []
    return first + broken_line(lines) + 1
