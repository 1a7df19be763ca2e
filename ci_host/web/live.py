"""Live: server-sent events that tell an open page that it is worth asking for its parts again."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import APIRouter, Depends
from sse_starlette import EventSourceResponse, ServerSentEvent

from ci_host.adapters.sql import queries
from ci_host.api.asked import asked
from ci_host.api.auth import Here, Person, Seen
from ci_host.api.news import folded
from ci_host.api.runs import resolve
from ci_host.api.services import Services
from ci_host.api.still import Still
from ci_host.web.listing import Listing

router = APIRouter(include_in_schema=False)


@router.get("/live")
async def list_events(
    here: Here, who: Person, seen: Seen, listing: Annotated[Listing, Depends(asked(Listing))]
) -> EventSourceResponse:
    """Whenever the list of runs changes."""

    # What cannot be asked for is refused before the answer begins.
    listing.part(here.now(), seen.repos)

    def mark() -> str:
        rows = queries.list_runs(here.model, listing.part(here.now(), seen.repos))
        shown = [(row.id, row.state, row.turns, row.waiting_for) for row in rows]
        return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]

    return EventSourceResponse(_changes(here, Still(here, who), "", mark))


@router.get("/runs/{run}/live")
async def run_events(here: Here, who: Person, run: str) -> EventSourceResponse:
    """Whenever the run's page changes."""
    found = await resolve(here, run)
    still = Still(here, who, found)
    events = _changes(here, still, found, lambda: queries.run_mark(here.model, found))
    return EventSourceResponse(events)


async def _changes(
    here: Services, still: Still, run: str, mark: Callable[[], str]
) -> AsyncIterator[ServerSentEvent]:
    """One event for the state that is found, and one for each that follows it."""
    told: str | None = None
    async with here.news.watching(folded(run)) as watch:
        while await still.may():
            now = await asyncio.to_thread(mark)
            if now != told:
                told = now
                yield ServerSentEvent(now, event="changed")
            await watch.wait_news()
