"""Routes of statuses that no forge took: what they say, why, and having them told once more."""

from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import APIRouter
from pydantic import BaseModel

from ci_host.api.auth import Admin, Here, Seen
from ci_host.api.paging import PAGE_MAX, PageSize, Place, moment, page_of
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.api.sight import Sight
from ci_host.status_ports import Untold

router = APIRouter(prefix="/api/v1/statuses", tags=["deliveries"])

log = structlog.get_logger()


class AgainBody(BaseModel):
    """`connection`: only what the forge of this one did not take; empty: all of it."""

    connection: str = ""


@router.get("/untold", summary="List statuses that no forge took")
async def list_untold(
    here: Here, seen: Seen, after: Place = "", limit: PageSize = PAGE_MAX
) -> dict[str, Any]:
    """The newest of each commit, name and run, kept for 30 days. `may_pass`: the forge broke on it,
    and is told again every ten minutes for three days; else `reason` says what to do."""
    page = page_of(await untold_seen(here, seen), _place, after, limit)
    return {"statuses": [_view(one) for one in page.found], "next": page.next}


@router.post("/untold/again", status_code=202, summary="Tell them once more")
async def tell_again(here: Here, who: Admin, body: AgainBody) -> dict[str, Any]:
    """`again`: how many wait for their forge now. What it takes is in the list no more."""
    return {"again": await told_again(here, who.name, body.connection)}


async def untold_seen(here: Services, seen: Sight) -> Sequence[Untold]:
    """Those of repositories that somebody sees, the oldest first. Raises Unavailable."""
    found = await here.untold.all()
    return [one for one in found if seen.has(f"{one.status.connection}/{one.status.repo}")]


async def told_again(here: Services, who: str, connection: str = "") -> int:
    """How many, by whose wish. Raises Problem, Unavailable."""
    known = set(here.directory.connections)
    if connection and connection not in known:
        raise Problem(404, "No such connection", f"There is none called {connection!r}.")
    again = await here.retelling.again({connection} if connection else known)
    log.info("statuses_told_again", by=who, connection=connection, count=again)
    return again


def _place(untold: Untold) -> str:
    status = untold.status
    return f"{moment(untold.since)} {status.connection} {status.place}"


def _view(untold: Untold) -> dict[str, Any]:
    status = untold.status
    return {
        "connection": status.connection,
        "repo": status.repo_name,
        "commit": status.commit,
        "context": status.context,
        "state": status.state,
        "description": status.description,
        "url": status.target_url,
        "reason": untold.reason,
        "since": untold.since,
        "may_pass": untold.may_pass,
    }
