"""Inbox: the page of gates that wait, first those that whoever looks may answer."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from ci_host.api.auth import Here, Person, Seen
from ci_host.api.gates import gates_seen
from ci_host.web.page import PageRoute, pages_of

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/inbox")
async def inbox_page(here: Here, who: Person, seen: Seen, request: Request) -> Response:
    """Their forms are those of the run's page, and lead back here."""
    found = await gates_seen(here, who, seen)
    return pages_of(request).answer(
        request,
        "inbox.html",
        who=who,
        mine=[one for one in found if one.may_answer],
        others=[one for one in found if not one.may_answer],
        now=here.now(),
    )


@router.get("/inbox/count")
async def inbox_count(here: Here, who: Person, seen: Seen) -> Response:
    """How many wait for whoever looks: the number in the navigation."""
    found = await gates_seen(here, who, seen)
    count = sum(one.may_answer for one in found)
    return JSONResponse({"count": count}, headers={"Cache-Control": "no-cache, private"})
