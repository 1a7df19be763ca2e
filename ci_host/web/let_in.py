"""Let in: the page on which somebody lets a command line act as they may."""

import msgspec
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from ci_host.access import Token, digest_of_secret, new_secret
from ci_host.api.auth import NOTED, Here, Person
from ci_host.api.bodies import read_form
from ci_host.api.device_logins import Asked
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.web.page import PageRoute, pages_of

GOOD_FOR_S = 30 * 86_400.0

router = APIRouter(include_in_schema=False, route_class=PageRoute)

log = structlog.get_logger()


@router.get("/let-in/{code}")
async def show(here: Here, who: Person, request: Request, code: str) -> Response:
    """Which machine asks, with the code to compare."""
    asked = _asked(here, code)
    return pages_of(request).answer(request, "let_in.html", who=who, asked=asked, answered="")


@router.post("/let-in/{code}")
async def answer(here: Here, who: Person, request: Request, code: str) -> Response:
    """Let it in as whoever is logged in here, with no more than they may, or turn it away."""
    asked = _asked(here, code)
    decision = (await read_form(request)).get("decision", "")
    is_let_in = decision == "let-in"
    # Whoever may only read changes something here: they have a key more.
    request.state.on = {"machine": asked.machine, "decision": decision}
    setattr(request.state, NOTED, who)
    # Before there is a key, which somebody must be there to fetch.
    here.device_logins.hold(asked)
    here.device_logins.answer(asked, await _key(here, who, asked) if is_let_in else None)
    said = "let in" if is_let_in else "turned away"
    return pages_of(request).answer(request, "let_in.html", who=who, asked=asked, answered=said)


def _asked(here: Services, code: str) -> Asked:
    asked = here.device_logins.find(code)
    if asked is None:
        said = "It was answered already, or took longer than ten minutes. Begin again there."
        raise Problem(404, "Nobody asks", said)
    return asked


async def _key(here: Services, who: Token, asked: Asked) -> str:
    """A key of their own, as good as the one they are logged in with and no longer than that."""
    secret, now = new_secret(), here.now()
    known = here.directory.tokens.get(who.digest)
    until = min(who.expires_at or now + GOOD_FOR_S, now + GOOD_FOR_S)
    # What the route found of them is about this request; their own key is copied.
    key = msgspec.structs.replace(
        known or who,
        digest=digest_of_secret(secret),
        created_at=now,
        expires_at=until,
        made_with=who.id,
        form="",
        by=f"{who.name}, for {asked.machine or 'a command line'}",
    )
    if who.connection:
        await here.sessions.put(key)
    else:
        await here.catalog.put_token(key)
        here.directory.tokens[key.digest] = key
    log.info("command_line_let_in", name=key.name, token=key.id, machine=asked.machine)
    return secret
