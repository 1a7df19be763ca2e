"""Trust: the page of strangers' pull requests, and its button, which does what the API does."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from ci_host.api.auth import Here, Person, Seen
from ci_host.api.trust import ApprovalBody, approve_commit, held_seen, policies_of, view_of
from ci_host.web.forms import sent_by_button
from ci_host.web.page import PageRoute, pages_of

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/trust")
async def trust_page(here: Here, who: Person, seen: Seen, request: Request) -> Response:
    """What waits for an approval, the newest first, and the policies."""
    held = [{**view_of(one), "repo_id": one.repo} for one in await held_seen(here, seen)]
    return pages_of(request).answer(
        request,
        "trust.html",
        who=who,
        held=held[::-1],
        policies=await policies_of(here, seen),
        now=here.now(),
    )


@router.post("/trust/approve")
async def approve(here: Here, who: Person, request: Request) -> Response:
    """Have the pipeline of this very commit run."""
    body = await sent_by_button(request, ApprovalBody, "pull request")
    done = await approve_commit(here, who, body)
    return RedirectResponse(f"/runs/{done['runs'][0]}", 303)
