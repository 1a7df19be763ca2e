"""Inbox: the page of gates that wait, first those that whoever looks may answer."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from ci_host.api.auth import Here, Person, Seen
from ci_host.api.gates import gates_seen
from ci_host.web.page import PageRoute, pages_of
from pipelines.ids import is_run_id

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/inbox")
async def inbox_page(
    here: Here,
    who: Person,
    seen: Seen,
    request: Request,
    answered: Annotated[str, Query(max_length=200)] = "",
    gate: Annotated[str, Query(max_length=1_000)] = "",
) -> Response:
    """Their forms are those of the run's page, and lead back here, with what was `answered`: the
    `gate` of that run is not shown again, though the read model may not have the answer yet."""
    found = await gates_seen(here, who, seen)
    found = [one for one in found if (one.run.id, one.key) != (answered, gate)]
    return pages_of(request).answer(
        request,
        "inbox.html",
        who=who,
        mine=[one for one in found if one.may_answer],
        others=[one for one in found if not one.may_answer],
        answered=(answered, gate) if is_run_id(answered) else None,
        now=here.now(),
    )


@router.get("/inbox/count")
async def inbox_count(here: Here, who: Person, seen: Seen) -> Response:
    """How many wait for whoever looks: the number in the navigation."""
    found = await gates_seen(here, who, seen)
    count = sum(one.may_answer for one in found)
    return JSONResponse({"count": count}, headers={"Cache-Control": "no-cache, private"})
