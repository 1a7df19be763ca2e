"""Routes of logs: what a job wrote, from any byte on, whole or live. By lines: `log_reading.py`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query
from fastapi.responses import Response, StreamingResponse
from sse_starlette import EventSourceResponse, ServerSentEvent

from ci_host.access import Token
from ci_host.adapters.nats import subjects
from ci_host.adapters.sql import queries
from ci_host.adapters.sql.tables import AttemptRow
from ci_host.api.auth import Here, Person
from ci_host.api.description import answers
from ci_host.api.job_logs import Reader
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.api.sight import no_such_job
from ci_host.api.still import Still
from ci_host.api.views import services_view
from pipelines.ids import JobId
from pipelines.service import owner_of_log

router = APIRouter(prefix="/api/v1/jobs", tags=["logs"])


LINES = "=== make test\nok 1 - adds\n=== make test: exit code 0 (0.1 s)\n"
CHUNK = """id: 14
data: === make test

event: end
data: {"state":"succeeded","exit_code":0}
"""


@router.get(
    "/{job}/log",
    summary="A job's log as text",
    response_class=Response,
    responses=answers("text/plain", LINES),
)
async def read_log(
    here: Here, _who: Person, job: str, offset: Annotated[int, Query(ge=0)] = 0
) -> StreamingResponse:
    """Everything that is stored behind `offset` (bytes, at a chunk's beginning).

    The log of a service has an id of its own: the run's `attempts` name it.
    """
    await known_log(here, job)
    texts = (chunk.text async for chunk in Reader(here, JobId(job), offset).more())
    return StreamingResponse(texts, media_type="text/plain; charset=utf-8")


@router.get(
    "/{job}/log/stream",
    summary="A job's log, live, as server-sent events",
    response_class=Response,
    responses=answers("text/event-stream", CHUNK),
)
async def follow_log(
    here: Here,
    who: Person,
    job: str,
    offset: Annotated[int, Query(ge=0)] = 0,
    last_event_id: Annotated[int | None, Header()] = None,
) -> EventSourceResponse:
    """One event a chunk: `id` is the offset behind it, so a reader that returns misses nothing.

    A last event named `end` has the job's outcome.
    """
    await known_log(here, job)
    start = offset if last_event_id is None else last_event_id
    return EventSourceResponse(_events(here, who, JobId(job), start))


async def known_log(here: Services, job: str) -> AttemptRow:
    """The Attempt whose log it is, or of whose service. Raises Problem."""
    row = await _attempt(here, job)
    if row is None:
        raise no_such_job(job)
    _, service = owner_of_log(job)
    names = [one["name"] for one in services_view(row)]
    if service and service not in names:
        known = ", ".join(names) or "none"
        raise Problem(404, "No such service", f"The job has no service {service!r}, but {known}.")
    return row


async def _attempt(here: Services, log: str) -> AttemptRow | None:
    """Whose log it is."""
    job, _ = owner_of_log(log)
    return await asyncio.to_thread(queries.attempt, here.model, job)


async def _events(
    here: Services, who: Token, job: JobId, offset: int
) -> AsyncIterator[ServerSentEvent]:
    reader, still = Reader(here, job, offset), Still(here, who, job.partition(".")[0])
    async with here.news.watching(subjects.log(job)) as watch:
        while await still.may():
            # Asked before reading: what was written before the end is read before we leave.
            row = await _attempt(here, job)
            async for chunk in reader.more():
                yield ServerSentEvent(chunk.text, id=str(chunk.offset + chunk.size))
            if row is not None and row.finished_at is not None:
                yield ServerSentEvent(_end(row.state, row.exit_code), event="end")
                return
            await watch.wait_news()


def _end(state: str, exit_code: int | None) -> str:
    said: dict[str, Any] = {"state": state, "exit_code": exit_code}
    return msgspec.json.encode(said).decode()
