"""Routes of open jobs: what waits for a runner, why and for how long, and what is with one."""

import asyncio
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from ci_host.adapters.sql.open_attempts import open_attempts
from ci_host.adapters.sql.tables import AttemptRow, RunRow
from ci_host.api import pools
from ci_host.api.auth import Here, Person
from ci_host.api.services import Services
from ci_host.api.waiting import moving_words
from pipelines.ids import JobId

router = APIRouter(prefix="/api/v1/queue", tags=["queue"])


@dataclass(frozen=True, slots=True)
class OpenJob:
    """An Attempt of a Run that goes on. `why`: what it waits for, or what is done for it first;
    `before`: how many go first, as far as is known. `since`: asked for, or begun."""

    attempt: AttemptRow
    run: RunRow
    pool: str
    is_waiting: bool
    since: float
    why: str
    before: int | None


@router.get("/jobs", summary="List jobs that wait for a runner, or are with one")
async def list_open_jobs(here: Here, _who: Person) -> dict[str, Any]:
    """Those that were asked for first come first, at most 500. `phase`: `queued` or `running`;
    `why` says what a queued one waits for."""
    return {"jobs": [_view(here, one) for one in await open_jobs(here)]}


async def open_jobs(here: Services) -> list[OpenJob]:
    """As of now. Raises Unavailable."""
    rows = await asyncio.to_thread(open_attempts, here.model)
    queued = [attempt.job for attempt, _ in rows if attempt.started_at is None]
    held = {job: why for job in queued if (why := here.dispatcher.why(JobId(job)))}
    alive = await pools.alive(here.bus, held)
    return [_job(attempt, run, alive) for attempt, run in rows]


def _job(attempt: AttemptRow, run: RunRow, alive: pools.Pools) -> OpenJob:
    held = alive.held.get(attempt.job)
    pool = (held.pool if held is not None else "") or attempt.pool or "default"
    if attempt.started_at is not None:
        moving = alive.moving.get((attempt.runner, attempt.job))
        why = moving_words(moving) if moving is not None else ""
        return OpenJob(attempt, run, pool, False, attempt.started_at, why, None)
    why = alive.lack(pool) or (held.words if held is not None else "")
    before = held.before if held is not None else None
    return OpenJob(attempt, run, pool, True, attempt.queued_at, why, before)


def _view(here: Services, one: OpenJob) -> dict[str, Any]:
    return {
        "job": one.attempt.job,
        "key": one.attempt.key,
        "attempt": one.attempt.attempt,
        "run": one.run.id,
        "repo": one.run.repo_name,
        "priority": one.run.priority,
        "pool": one.pool,
        "phase": "queued" if one.is_waiting else "running",
        "runner": one.attempt.runner,
        "since": one.since,
        "why": one.why,
        "before": one.before,
        "url": f"{here.settings.url}/runs/{one.run.id}",
    }
