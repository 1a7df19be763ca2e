"""Schedules: their page, and its buttons, which do what the API does."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from ci_host.access import Token
from ci_host.api.auth import Here, Person, Seen
from ci_host.api.bodies import read_form
from ci_host.api.problems import Problem
from ci_host.api.schedules import SEQUENCE_MAX, listed
from ci_host.api.services import Services
from ci_host.api.starting import find_repo
from ci_host.web.page import PageRoute, pages_of

REPOS_SHOWN = 100

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Do = Callable[[Services, str, str, Token], Awaitable[object]]


@router.get("/schedules")
async def schedules_page(
    here: Here,
    who: Person,
    seen: Seen,
    request: Request,
    repo: Annotated[str, Query(max_length=2_000)] = "",
    after: Annotated[int, Query(ge=0, le=SEQUENCE_MAX)] = 0,
) -> Response:
    """When each schedule is due next, and what became of it last."""
    found = await listed(here, seen, repo, after, REPOS_SHOWN)
    return pages_of(request).answer(
        request,
        "schedules.html",
        who=who,
        schedules=found["schedules"],
        following=found["next"],
        repo=repo,
        now=here.now(),
    )


async def _pause(here: Services, repo: str, name: str, who: Token) -> None:
    await here.schedules.pause(repo, name, who)


async def _resume(here: Services, repo: str, name: str, _who: Token) -> None:
    await here.schedules.resume(repo, name)


async def _run_now(here: Services, repo: str, name: str, who: Token) -> None:
    await here.schedules.run_now(repo, name, who, "")


ACTS: dict[str, Do] = {"pause": _pause, "resume": _resume, "run-now": _run_now}


@router.post("/schedules/{act}")
async def act_on_schedule(here: Here, who: Person, request: Request, act: str) -> Response:
    """Pause it, resume it, or have a run of it begun."""
    do = ACTS.get(act)
    if do is None:
        raise Problem(404, "No such act", "Use one of the buttons of the page.")
    form = await read_form(request)
    repo = find_repo(here, form.get("repo", ""))
    await do(here, repo.id, form.get("name", ""), who)
    return RedirectResponse("/" if act == "run-now" else "/schedules", 303)
