"""Routes of deliveries: what came in, what became of it, and having it taken once more.

A delivery is kept for 30 days as it came. Replaying it is harmless where it did its work: a push
that has its run gets no second one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from ci_host.access import Token
from ci_host.adapters.sql import queries
from ci_host.adapters.sql.tables import DeliveryRow
from ci_host.api import views
from ci_host.api.auth import Admin, Here, Seen
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.api.sight import Sight
from ci_host.api.starting import outcome_of
from pipelines.repo import Delivery

router = APIRouter(prefix="/api/v1", tags=["deliveries"])

BODY_CHARS_SHOWN = 1_000_000
KEPT_DAYS = 30

log = structlog.get_logger()


class NamedDelivery(BaseModel):
    """Which: its id, or the beginning of one; `connection` where two have the same."""

    id: str = Field(min_length=1, max_length=200)
    connection: str = ""


@router.get("/deliveries", summary="List webhook deliveries and what became of them")
async def list_deliveries(
    here: Here,
    seen: Seen,
    limit: Annotated[int, Query(ge=1, le=queries.PAGE_MAX)] = 50,
    state: str = "",
    connection: str = "",
) -> dict[str, Any]:
    """Newest first; `reason` says why a delivery started nothing. `state`: received, started,
    ignored, held or failed."""
    wish = queries.Deliveries(state=state, connection=connection, limit=limit)
    rows = await deliveries_seen(here, seen, wish)
    return {"deliveries": [views.delivery_view(row) for row in rows]}


@router.get("/delivery", summary="Show one delivery as it came")
async def show_delivery(
    here: Here, _who: Admin, named: Annotated[NamedDelivery, Query()]
) -> dict[str, Any]:
    """With its payload, which may say what only members of the repository may know."""
    row, delivery = await _found(here, named)
    body = delivery.body
    return {
        **views.delivery_view(row),
        "kind": delivery.kind,
        "body": body[:BODY_CHARS_SHOWN],
        "is_cut": len(body) > BODY_CHARS_SHOWN,
    }


@router.post("/delivery/replay", summary="Take one delivery once more")
async def replay_delivery(here: Here, who: Admin, body: NamedDelivery) -> dict[str, Any]:
    """For one that failed, or came before its repository was registered. It is recorded as a new
    delivery with the old payload, and judged by what is so now."""
    return await taken_once_more(here, body, who)


async def taken_once_more(here: Services, named: NamedDelivery, who: Token) -> dict[str, Any]:
    """Record it anew, and wait for what becomes of it. Raises Problem."""
    row, delivery = await _found(here, named)
    again = msgspec.structs.replace(delivery, id=f"replay-{here.new_id()}", received_at=here.now())
    log.info("delivery_replayed", delivery=row.id, as_=again.id, by=who.name)
    outcome = await outcome_of(here, again)
    return {"of": row.id, **msgspec.to_builtins(outcome)}


async def deliveries_seen(
    here: Services, seen: Sight, wish: queries.Deliveries
) -> Sequence[DeliveryRow]:
    """Newest first. Whoever sees only some repositories sees those that led to runs of these, and
    those of connections that have no other: nothing else says whose a delivery was."""
    if seen.repos is None:
        return await asyncio.to_thread(queries.list_deliveries, here.model, wish)
    of: dict[str, list[bool]] = {}
    for repo in here.directory.repos.values():
        of.setdefault(repo.connection, []).append(seen.has(repo.id))
    some = {connection for connection, are_seen in of.items() if any(are_seen)}
    wide = replace(wish, limit=queries.PAGE_MAX, connections=some)
    rows = await asyncio.to_thread(queries.list_deliveries, here.model, wide)
    found = [row for row in rows if all(of[row.connection]) or await _led_to(here, seen, row)]
    return found[: wish.limit]


async def _led_to(here: Services, seen: Sight, row: DeliveryRow) -> bool:
    runs = msgspec.json.decode(row.runs_json, type=list[str])
    repos = [await asyncio.to_thread(queries.repo_of_run, here.model, run) for run in runs]
    return bool(repos) and all(repo is not None and seen.has(repo) for repo in repos)


async def _found(here: Services, named: NamedDelivery) -> tuple[DeliveryRow, Delivery]:
    """The one that is meant. Raises Problem."""
    rows = await asyncio.to_thread(queries.find_deliveries, here.model, named.id, named.connection)
    if not rows:
        raise Problem(404, "No such delivery", f"There is no {named.id!r}: `staunch deliveries`.")
    if len(rows) > 1:
        told = ", ".join(f"{one.id} of {one.connection}" for one in rows[:5])
        raise Problem(409, "Which one?", f"{named.id!r} may be {told}: give more of it.")
    stored = await here.inbox.get(rows[0].connection, rows[0].id)
    if stored is None:
        raise Problem(
            410, "Not kept any more", f"Payloads are kept for {KEPT_DAYS} days; push again."
        )
    return rows[0], stored
