"""Routes of events: what happens to Runs, as CloudEvents, from any place on, or live."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query
from fastapi.responses import Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from ci_host.access import Token
from ci_host.adapters.nats.announcements import NatsAnnouncements
from ci_host.api.auth import Here, Person, Seen
from ci_host.api.description import answers
from ci_host.api.services import Services
from ci_host.api.sight import Sight, named_repo, no_such_repo
from ci_host.api.still import Still
from pipelines.announcement import Announcement
from webhooks.outgoing import cloud_event

PAGE_MAX = 500
SEQUENCE_MAX = 2**63 - 1
TOPIC = "announcement"

router = APIRouter(prefix="/api/v1/events", tags=["events"])

Place = Annotated[int, Query(ge=0, le=SEQUENCE_MAX)]


@router.get("", summary="What happened to runs")
async def list_events(
    here: Here,
    seen: Seen,
    repo: str = "",
    after: Place = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> dict[str, Any]:
    """Oldest first, for 30 days, each a CloudEvents 1.0 event. `next` is the following page's
    `after`, and the place from which `/events/stream` goes on."""
    repos = await _repos(here, seen, repo)
    told = await NatsAnnouncements(here.bus).page(after, limit, repos)
    return {
        "events": [msgspec.json.decode(_event(here, one)) for _, one in told.found],
        "next": told.through,
    }


EVENT = """id: 7
event: run.finished
data: {"specversion":"1.0","id":"3-723aaf9386150b37754d.1.1","type":"dev.staunch.run.finished"}
"""


@router.get(
    "/stream",
    summary="What happens to runs, live, as server-sent events",
    response_class=Response,
    responses=answers("text/event-stream", EVENT),
)
async def stream_events(
    here: Here,
    who: Person,
    seen: Seen,
    repo: str = "",
    after: Place | None = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=SEQUENCE_MAX)] = None,
) -> EventSourceResponse:
    """One server-sent event for each; its `id` is its place, so a reader that returns with
    `Last-Event-ID` misses nothing. Without a place: what happens from now on."""
    repos = await _repos(here, seen, repo)
    place = last_event_id if last_event_id is not None else after
    if place is None:
        place = await NatsAnnouncements(here.bus).newest()
    return EventSourceResponse(_live(here, who, repos, place))


async def _repos(here: Services, seen: Sight, repo: str) -> Sequence[str] | None:
    if repo:
        found = named_repo(here, repo)
        if found is None or not seen.has(found.id):
            known = [one.name for one in here.directory.repos.values() if seen.has(one.id)]
            raise no_such_repo(repo, known)
        return [found.id]
    return None if seen.repos is None else sorted(seen.repos)


async def _live(
    here: Services, who: Token, repos: Sequence[str] | None, place: int
) -> AsyncIterator[ServerSentEvent]:
    still, announcements = Still(here, who), NatsAnnouncements(here.bus)
    async with here.news.watching(TOPIC) as watch:
        while await still.may():
            told = await announcements.page(place, PAGE_MAX, repos)
            for at, one in told.found:
                yield ServerSentEvent(_event(here, one).decode(), id=str(at), event=one.kind)
            # Of what is not theirs nothing is read twice.
            place = told.through
            if not told.found:
                await watch.wait_news()


def _event(here: Services, one: Announcement) -> bytes:
    return cloud_event(one, here.settings.url)
