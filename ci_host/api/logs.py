"""Routes of logs: what a job wrote, from any byte on, whole or live."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query
from fastapi.responses import PlainTextResponse
from sse_starlette import EventSourceResponse, ServerSentEvent

from ci_host.adapters.nats import subjects
from ci_host.adapters.sql import queries
from ci_host.api.auth import Here, Person
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from pipelines.ids import JobId
from pipelines.job import LogChunk

router = APIRouter(prefix="/api/v1/jobs", tags=["logs"])


async def chunks(here: Services, job: JobId, offset: int) -> list[LogChunk]:
    """The stored chunks that end behind `offset`, in order, the first cut to begin there."""
    stored = await here.bus.read(subjects.LOGS, subjects.log(job))
    found = [msgspec.json.decode(message.body, type=LogChunk) for message in stored]
    return [chunk for chunk in found if chunk.offset + chunk.size > offset]


@router.get("/{job}/log", response_class=PlainTextResponse, summary="A job's log as text")
async def read_log(
    here: Here, _who: Person, job: str, offset: Annotated[int, Query(ge=0)] = 0
) -> str:
    """Everything that is stored behind `offset` (bytes, at a chunk's beginning)."""
    await _known(here, job)
    return "".join(chunk.text for chunk in await chunks(here, JobId(job), offset))


@router.get("/{job}/log/stream", summary="A job's log, live, as server-sent events")
async def follow_log(
    here: Here,
    _who: Person,
    job: str,
    offset: Annotated[int, Query(ge=0)] = 0,
    last_event_id: Annotated[int | None, Header()] = None,
) -> EventSourceResponse:
    """One event a chunk: `id` is the offset behind it, so a reader that returns misses nothing.

    A last event named `end` has the job's outcome.
    """
    await _known(here, job)
    start = offset if last_event_id is None else last_event_id
    return EventSourceResponse(_events(here, JobId(job), start))


async def _known(here: Services, job: str) -> None:
    if await asyncio.to_thread(queries.attempt, here.model, job) is None:
        raise Problem(404, "No such job", f"There is no job {job!r}; `staunch show` lists them.")


async def _events(here: Services, job: JobId, offset: int) -> AsyncIterator[ServerSentEvent]:
    sequence = 0
    async with here.news.watching(subjects.log(job)) as watch:
        while True:
            # Asked before reading: what was written before the end is read before we leave.
            row = await asyncio.to_thread(queries.attempt, here.model, job)
            for message in await here.bus.read(subjects.LOGS, subjects.log(job), sequence):
                sequence = message.sequence
                chunk = msgspec.json.decode(message.body, type=LogChunk)
                behind = chunk.offset + chunk.size
                if behind > offset:
                    yield ServerSentEvent(chunk.text, id=str(behind))
            if row is not None and row.finished_at is not None:
                yield ServerSentEvent(_end(row.state, row.exit_code), event="end")
                return
            await watch.wait_news()


def _end(state: str, exit_code: int | None) -> str:
    said: dict[str, Any] = {"state": state, "exit_code": exit_code}
    return msgspec.json.encode(said).decode()
