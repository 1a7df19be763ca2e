"""Routes of schedules: list them, pause, resume, and run one now."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from ci_host.api.auth import Here, Person, Seen
from ci_host.api.services import Services
from ci_host.api.sight import Sight
from ci_host.api.starting import find_repo
from pipelines.repo import Repo
from pipelines.schedule import Entry, Timetable

PAGE_MAX = 500
NAME_CHARS_MAX = 512
SEQUENCE_MAX = 2**63 - 1

router = APIRouter(prefix="/api/v1/schedules", tags=["schedules"])


class NamedBody(BaseModel):
    """Which: a repository's name or id, and a schedule's name, or `<pipeline>/<name>`."""

    repo: str
    name: str = Field(min_length=1, max_length=NAME_CHARS_MAX)


class RunNowBody(NamedBody):
    """`key` makes it repeatable: the same key twice is one run."""

    key: str = Field(default="", max_length=256)


@router.get("", summary="List schedules")
async def list_schedules(
    here: Here,
    seen: Seen,
    repo: str = "",
    after: Annotated[int, Query(ge=0, le=SEQUENCE_MAX)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> dict[str, Any]:
    """Of one repository, or of `limit` repositories; `next` is the following page's `after`."""
    return await listed(here, seen, repo, after, limit)


async def listed(here: Services, seen: Sight, repo: str, after: int, limit: int) -> dict[str, Any]:
    """A page of schedules. Raises Problem, Unavailable."""
    if repo:
        _, table = await here.timetables.read(find_repo(here, repo).id)
        return {"schedules": _views(here, table), "next": None}
    page = await here.timetables.page(after, limit)
    views = [view for table in page.tables if seen.has(table.repo) for view in _views(here, table)]
    return {"schedules": views, "next": page.next}


@router.post("/pause", summary="Pause a schedule")
async def pause_schedule(here: Here, who: Person, body: NamedBody) -> dict[str, Any]:
    """Nothing of it is begun until it is resumed; a push does not resume it."""
    repo = find_repo(here, body.repo)
    return schedule_view(await here.schedules.pause(repo.id, body.name, who), repo)


@router.post("/resume", summary="Resume a paused schedule")
async def resume_schedule(here: Here, _who: Person, body: NamedBody) -> dict[str, Any]:
    """It goes on with what is due from now on; what fell into the pause is not caught up."""
    repo = find_repo(here, body.repo)
    return schedule_view(await here.schedules.resume(repo.id, body.name), repo)


@router.post("/run-now", status_code=202, summary="Run a schedule now")
async def run_schedule_now(here: Here, who: Person, body: RunNowBody) -> dict[str, Any]:
    """Recorded when this is answered; an engine begins the run. Its due time is that of the ask."""
    repo = find_repo(here, body.repo)
    return {"run": await here.schedules.run_now(repo.id, body.name, who, body.key)}


def _views(here: Services, table: Timetable) -> list[dict[str, Any]]:
    repo = here.directory.repos.get(table.repo)
    if repo is None:
        return []
    code = {"ref": table.ref, "commit": table.commit}
    return [{**schedule_view(entry, repo), **code} for entry in table.entries]


def schedule_view(entry: Entry, repo: Repo) -> dict[str, Any]:
    """One schedule. Times are seconds since the epoch; `next` None: nothing will be begun."""
    schedule, paused, skipped = entry.schedule, entry.paused, entry.skipped
    return {
        "repo": repo.id,
        "repo_name": repo.name,
        "pipeline": entry.pipeline,
        "name": schedule.name,
        "cron": schedule.cron,
        "tz": schedule.tz,
        "overlap": schedule.overlap,
        "catch_up": schedule.catch_up,
        "next": None if paused else entry.next,
        "last_run": entry.last_run or None,
        "last_due": entry.last_due,
        "skipped": {"due": skipped.due, "reason": skipped.reason} if skipped else None,
        "paused": {"by": paused.by, "at": paused.at} if paused else None,
    }
