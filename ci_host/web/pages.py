"""Pages: the addresses that people read: runs, one run, deliveries, login, where the API is."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from ci_host.access import Token
from ci_host.adapters.sql import queries
from ci_host.adapters.sql.tables import DeliveryRow, RunRow
from ci_host.api.auth import Here, Person, Seen
from ci_host.api.deliveries import deliveries_seen
from ci_host.api.log_tail import FAILURE_LINES, TAIL_LINES, log_tail
from ci_host.api.problems import Problem
from ci_host.api.runs import pools_for, resolve
from ci_host.api.services import Services
from ci_host.api.sight import Sight
from ci_host.api.standing_by import PHASE as STANDBY
from ci_host.api.standing_by import shells, terminals_of, with_standbys
from ci_host.api.views import services_view
from ci_host.api.waiting import waiting
from ci_host.web.drawing import draw
from ci_host.web.forge_links import links_of
from ci_host.web.forge_login import login_forges
from ci_host.web.listing import STATES, Listing
from ci_host.web.page import PageRoute, pages_of
from ci_host.web.redirects import HOME, safe_next
from ci_host.web.run_view import run_view
from ci_host.web.timeline import PHASE_WORDS, timeline
from pipelines.priority import LEVELS
from pipelines.run import FINAL

SHOWN = queries.Deliveries(limit=100)

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True, slots=True)
class LogChoice:
    """Which log the address asks for."""

    job: Annotated[str, Query(max_length=2_000)] = ""
    attempt: Annotated[int, Query(ge=0)] = 0
    service: Annotated[str, Query(max_length=64)] = ""


@router.get("/")
async def runs_page(
    here: Here,
    who: Person,
    seen: Seen,
    request: Request,
    listing: Annotated[Listing, Depends()],
) -> Response:
    """All runs, newest first."""
    repos = await asyncio.to_thread(queries.repo_names, here.model, seen.repos)
    shown = await _runs(here, listing, seen)
    return pages_of(request).answer(
        request, "runs.html", who=who, repos=repos, states=STATES, **shown
    )


@router.get("/fragment")
async def runs_fragment(
    here: Here,
    who: Person,
    seen: Seen,
    request: Request,
    listing: Annotated[Listing, Depends()],
) -> Response:
    """The parts of the list that move."""
    shown = await _runs(here, listing, seen)
    return pages_of(request).answer(request, "runs_parts.html", who=who, **shown)


async def _runs(here: Services, listing: Listing, seen: Sight) -> dict[str, Any]:
    wish = listing.wish(seen.repos)
    rows = await asyncio.to_thread(queries.list_runs, here.model, wish)
    following = rows[-1].created_at if len(rows) == wish.limit else None
    return {"runs": rows, "listing": listing, "following": following, "now": here.now()}


@router.get("/runs/{run}")
async def run_page(
    here: Here, who: Person, request: Request, run: str, choice: Annotated[LogChoice, Depends()]
) -> Response:
    """One run: why it failed, what it did, and the log of one of its jobs."""
    shown = await _run(here, who, run, choice)
    chosen = shown["view"].chosen
    tail = [] if chosen is None else await log_tail(here, chosen, TAIL_LINES, shown["service"])
    return pages_of(request).answer(request, "run.html", who=who, tail=tail, **shown)


@router.get("/runs/{run}/fragment")
async def run_fragment(
    here: Here, who: Person, request: Request, run: str, choice: Annotated[LogChoice, Depends()]
) -> Response:
    """The parts of the run's page that move; its log moves by itself."""
    shown = await _run(here, who, run, choice)
    return pages_of(request).answer(request, "run_parts.html", who=who, **shown)


async def _run(here: Services, who: Token, text: str, choice: LogChoice) -> dict[str, Any]:
    found = await resolve(here, text)
    detail = await asyncio.to_thread(queries.run_detail, here.model, found)
    if detail is None:
        raise Problem(404, "Not there yet", f"Run {found} has only just begun; reload the page.")
    row, now = detail.run, here.now()
    view = run_view(detail, who, choice.job, choice.attempt)
    failed = view.failure.job if view.failure is not None else None
    line = timeline(detail, now)
    terminals = await terminals_of(here, detail)
    records = waiting(detail, await pools_for(here, detail))
    waits = with_standbys(detail.run.id, records, terminals)
    beside = [] if view.chosen is None else services_view(view.chosen)
    names = [one["name"] for one in beside]
    return {
        "run": row,
        "services": beside,
        "service": choice.service if choice.service in names else "",
        "detail": detail,
        "view": view,
        "links": _links(here, row),
        "line": line,
        "drawing": draw(line),
        "lacks": [one for one in waits if one.get("lack")],
        "held": {one["key"]: one["held"] for one in waits if one.get("held")},
        "moving": {one["key"]: one["moving"]["words"] for one in waits if one.get("moving")},
        "standbys": [one for one in waits if one.get("phase") == STANDBY],
        "shells": shells(detail.attempts, terminals),
        "phase_words": PHASE_WORDS,
        "priorities": LEVELS,
        "failure_tail": [] if failed is None else await log_tail(here, failed, FAILURE_LINES),
        "is_over": row.state in FINAL,
        "is_cancelling": any(given.type == "cancel_requested" for given in detail.inputs),
        "now": now,
    }


def _links(here: Services, row: RunRow) -> Any:  # noqa: ANN401
    connection = here.directory.find(row.connection)
    repo = here.directory.repos.get(row.repo)
    return links_of(repo, None if connection is None else connection.kind, row.commit)


@router.get("/deliveries")
async def deliveries_page(here: Here, who: Person, seen: Seen, request: Request) -> Response:
    """Webhook deliveries, and what became of each."""
    rows = await deliveries_seen(here, seen, SHOWN)
    shown = [(row, _runs_of(row)) for row in rows]
    return pages_of(request).answer(
        request, "deliveries.html", who=who, deliveries=shown, now=here.now()
    )


def _runs_of(row: DeliveryRow) -> list[str]:
    return msgspec.json.decode(row.runs_json, type=list[str])


@router.get("/docs/api")
async def api_page(here: Here, who: Person, request: Request) -> Response:
    """Where the API is described, and how to call it."""
    return pages_of(request).answer(request, "api.html", who=who, url=here.settings.url)


@router.get("/login")
async def login_page(
    here: Here,
    request: Request,
    following: Annotated[str, Query(alias="next", max_length=2_000)] = HOME,
) -> Response:
    """Where a token is pasted. The address never holds one."""
    return pages_of(request).answer(
        request,
        "login.html",
        who=None,
        following=safe_next(following),
        refused="",
        forges=login_forges(here),
    )
