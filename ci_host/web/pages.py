"""Pages: the addresses that people read: runs, deliveries, login, where the API is.

One run's page is `run_page.py`'s.
"""

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from ci_host.adapters.sql import queries
from ci_host.adapters.sql.tables import DeliveryRow
from ci_host.api.asked import asked
from ci_host.api.auth import Admin, Here, Person, Seen
from ci_host.api.deliveries import NamedDelivery, deliveries_seen, taken_once_more
from ci_host.api.saved_views import NAME_CHARS_MAX, query_of, saved
from ci_host.api.services import Services
from ci_host.api.sight import Sight
from ci_host.api.statuses import told_again, untold_seen
from ci_host.web.forge_login import login_forges
from ci_host.web.forms import sent_by_button
from ci_host.web.listing import EVENTS, STATES, Listing
from ci_host.web.page import PageRoute, pages_of
from ci_host.web.redirects import HOME, safe_next

SHOWN = queries.Deliveries(limit=100)
UNTOLD_SHOWN = 100

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/")
async def runs_page(
    here: Here,
    who: Person,
    seen: Seen,
    request: Request,
    listing: Annotated[Listing, Depends(asked(Listing))],
) -> Response:
    """All runs, newest first."""
    repos = await asyncio.to_thread(queries.repo_names, here.model, seen.repos)
    shown = await _runs(here, listing, seen)
    return pages_of(request).answer(
        request,
        "runs.html",
        who=who,
        repos=repos,
        states=STATES,
        events=EVENTS,
        views=[(one, query_of(one)) for one in await saved(here, who)],
        name_chars_max=NAME_CHARS_MAX,
        **shown,
    )


@router.get("/fragment")
async def runs_fragment(
    here: Here,
    who: Person,
    seen: Seen,
    request: Request,
    listing: Annotated[Listing, Depends(asked(Listing))],
) -> Response:
    """The parts of the list that move."""
    shown = await _runs(here, listing, seen)
    return pages_of(request).answer(request, "runs_parts.html", who=who, **shown)


async def _runs(here: Services, listing: Listing, seen: Sight) -> dict[str, Any]:
    wish = listing.part(here.now(), seen.repos)
    rows = await asyncio.to_thread(queries.list_runs, here.model, wish)
    following = rows[-1].created_at if len(rows) == wish.limit else None
    return {"runs": rows, "listing": listing, "following": following, "now": here.now()}


@router.get("/deliveries")
async def deliveries_page(here: Here, who: Person, seen: Seen, request: Request) -> Response:
    """Webhook deliveries, and what became of each."""
    rows = await deliveries_seen(here, seen, SHOWN)
    shown = [(row, _runs_of(row)) for row in rows]
    untold = (await untold_seen(here, seen))[:UNTOLD_SHOWN]
    return pages_of(request).answer(
        request, "deliveries.html", who=who, deliveries=shown, untold=untold, now=here.now()
    )


@router.post("/deliveries/replay")
async def replay(here: Here, who: Admin, request: Request) -> Response:
    """Have one taken once more; what came of it is the first of the list then."""
    named = await sent_by_button(request, NamedDelivery, "delivery")
    await taken_once_more(here, named, who)
    return RedirectResponse("/deliveries", 303)


@router.post("/statuses/again")
async def tell_again(here: Here, who: Admin) -> Response:
    """Have told once more what no forge took; what it takes leaves the list."""
    await told_again(here, who.name)
    return RedirectResponse("/deliveries", 303)


def _runs_of(row: DeliveryRow) -> list[str]:
    return msgspec.json.decode(row.runs_json, type=list[str])


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
