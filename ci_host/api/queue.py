"""Routes of the queue: what waits in each pool, and the limits on what may be at work at once."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, model_validator

from ci_host.api.auth import Admin, Here, Person, Seen
from ci_host.api.services import Services
from ci_host.api.starting import find_repo
from ci_host.engine.line import Depth
from ci_host.line_ports import AT_ONCE_MAX, JobLimit

router = APIRouter(prefix="/api/v1", tags=["queue"])


class LimitedBody(BaseModel):
    """What is limited: a pool, or a repository by its name or id."""

    pool: str = Field(default="", max_length=200)
    repo: str = Field(default="", max_length=1_000)

    @model_validator(mode="after")
    def _is_one(self) -> "LimitedBody":
        if bool(self.pool) == bool(self.repo):
            raise ValueError("name a pool or a repository, and not both")
        return self


class LimitBody(LimitedBody):
    """`at_once`: so many of its jobs; 0: none is begun."""

    at_once: int = Field(ge=0, le=AT_ONCE_MAX)


@router.get("/queue", summary="What waits in each pool")
async def show_queue(here: Here, _who: Person) -> dict[str, Any]:
    """`waiting` jobs have to wait for a slot or a limit; `at_runners` are taken, or are next.
    `slots` are those of runners that are alive and not being drained. `wanted_slots`: so many would
    do all of it at once, as far as the limit of the pool allows; what an autoscaler asks for.
    `tier`: whose jobs the pool takes, `trusted` or `untrusted`; null: everybody's."""
    return {"pools": await queue_of(here)}


async def queue_of(here: Services) -> list[dict[str, Any]]:
    """Each pool, by name. Raises Unavailable."""
    rules = {rule.pool: rule for rule in await here.catalog.pool_rules()}
    return [
        {
            "pool": one.pool,
            "waiting": one.waiting,
            "at_runners": one.at_runners,
            "slots": one.slots,
            "limit": one.limit,
            "wanted_slots": _wanted(one),
            "tier": rules[one.pool].tier if one.pool in rules else None,
        }
        for one in here.dispatcher.depths()
    ]


@router.get("/limits", summary="List limits on jobs")
async def list_limits(here: Here, seen: Seen) -> dict[str, Any]:
    """Of pools and of repositories. What has none is not listed."""
    found = await here.catalog.limits()
    shown = [one for one in found if one.at_once is not None and seen.has(one.repo)]
    return {"limits": [_view(here, one) for one in shown]}


@router.put("/limits", summary="Limit how many jobs are at work at once")
async def put_limit(here: Here, _who: Admin, body: LimitBody) -> dict[str, Any]:
    """What is at work already stays so."""
    return await _put(here, body, body.at_once)


@router.delete("/limits", summary="Remove a limit on jobs")
async def remove_limit(
    here: Here, _who: Admin, limited: Annotated[LimitedBody, Query()]
) -> dict[str, Any]:
    """No error where there is none."""
    return await _put(here, limited, None)


def _wanted(depth: Depth) -> int:
    jobs = depth.waiting + depth.at_runners
    return jobs if depth.limit is None else min(jobs, depth.limit)


async def _put(here: Services, body: LimitedBody, at_once: int | None) -> dict[str, Any]:
    repo = find_repo(here, body.repo).id if body.repo else ""
    limit = JobLimit(pool=body.pool, repo=repo, at_once=at_once)
    await here.catalog.put_limit(limit)
    return _view(here, limit)


def _view(here: Services, limit: JobLimit) -> dict[str, Any]:
    repo = here.directory.repos.get(limit.repo)
    return {
        "pool": limit.pool,
        "repo": repo.name if repo is not None else limit.repo,
        "at_once": limit.at_once,
    }
