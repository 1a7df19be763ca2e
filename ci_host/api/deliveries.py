"""Routes of deliveries: what came in, what became of it, and having it taken once more.

A delivery is kept for 30 days as it came. Replaying it is harmless where it did its work: a push
that has its run gets no second one.
"""

import asyncio
from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from ci_host.adapters.sql import queries
from ci_host.adapters.sql.tables import DeliveryRow
from ci_host.api import views
from ci_host.api.auth import Admin, Here, Person
from ci_host.api.problems import Problem
from ci_host.api.services import Services
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
    _who: Person,
    limit: Annotated[int, Query(ge=1, le=queries.PAGE_MAX)] = 50,
    state: str = "",
    connection: str = "",
) -> dict[str, Any]:
    """Newest first; `reason` says why a delivery started nothing. `state`: received, started,
    ignored, held or failed."""
    wish = queries.Deliveries(state=state, connection=connection, limit=limit)
    rows = await asyncio.to_thread(queries.list_deliveries, here.model, wish)
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
    row, delivery = await _found(here, body)
    again = msgspec.structs.replace(delivery, id=f"replay-{here.new_id()}", received_at=here.now())
    log.info("delivery_replayed", delivery=row.id, as_=again.id, by=who.name)
    outcome = await outcome_of(here, again)
    return {"of": row.id, **msgspec.to_builtins(outcome)}


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
