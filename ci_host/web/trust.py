"""Trust: the page of strangers' pull requests, and its button, which does what the API does."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from ci_host.api.auth import Here, Person, Seen
from ci_host.api.bodies import read_form
from ci_host.api.problems import Problem
from ci_host.api.trust import ApprovalBody, approve_commit, held_seen, policies_of, view_of
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
    form = await read_form(request)
    try:
        body = ApprovalBody.model_validate(dict(form))
    except ValidationError as error:
        raise Problem(422, "No such pull request", "Use the button of the page.") from error
    done = await approve_commit(here, who, body)
    return RedirectResponse(f"/runs/{done['runs'][0]}", 303)
