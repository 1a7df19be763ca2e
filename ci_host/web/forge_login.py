"""Forge login: to the forge and back, and the key that a browser gets for it.

The key names the forge's account; what it is good for the forge is asked, see `forge_levels.py`.
"""

from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from ci_host.access import Level, Token, digest_of_secret, new_secret
from ci_host.api.audit import address_of
from ci_host.api.auth import COOKIE, Here
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.web.page import PageRoute, pages_of
from ci_host.web.redirects import HOME, safe_next
from pipelines.repo import Connection
from webhooks.forge import Account, Later
from webhooks.oauth import LoginPlace, account_of, authorize_url, login_place

LOGIN_COOKIE = "staunch_login"
LOGIN_COOKIE_S = 600
SESSION_S = 43_200
CODE_CHARS_MAX = 2_000

router = APIRouter(include_in_schema=False, route_class=PageRoute)

log = structlog.get_logger()


def login_forges(here: Services) -> list[Connection]:
    """Those that somebody can log in at, by their ids."""
    known = here.directory.connections.values()
    return sorted((one for one in known if login_place(one) is not None), key=lambda one: one.id)


@router.get("/login/{connection}")
async def begin_login(
    here: Here,
    request: Request,
    connection: str,
    following: Annotated[str, Query(alias="next", max_length=2_000)] = HOME,
) -> Response:
    """To the forge. The cookie comes back with the forge's answer, from another site: Lax."""
    forge, place = _forge(here, connection)
    begun, cookie = here.logins.begin(forge.id, safe_next(following), address_of(request))
    url = authorize_url(
        place,
        forge,
        redirect_uri=_redirect_uri(here, forge),
        state=begun.state,
        verifier=begun.verifier,
    )
    answer = RedirectResponse(url, 303, {"Cache-Control": "no-store"})
    answer.set_cookie(
        LOGIN_COOKIE,
        cookie,
        max_age=LOGIN_COOKIE_S,
        path="/login",
        httponly=True,
        samesite="lax",
        secure=here.settings.url.startswith("https:"),
    )
    return answer


@router.get("/login/{connection}/callback")
async def end_login(
    here: Here,
    request: Request,
    connection: str,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=CODE_CHARS_MAX)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Back from the forge: who is it?"""
    forge, place = _forge(here, connection)
    begun = here.logins.end(forge.id, state, request.cookies.get(LOGIN_COOKIE, ""))
    if begun is None:
        raise Problem(
            403,
            "Not a login of this browser",
            "This login did not begin here, was used already, or took too long. Begin at the login"
            " page again.",
        )
    if error or not code:
        raise Problem(403, "Not logged in", f"{forge.id} says: {error or 'nothing'}.")
    who = await account_of(
        here.http,
        forge,
        place,
        here.now(),
        code=code,
        verifier=begun.verifier,
        redirect_uri=_redirect_uri(here, forge),
    )
    if not isinstance(who, Account):
        raise Problem(503 if isinstance(who, Later) else 403, "Not logged in", who.reason)
    secret = await _session(here, forge, who)
    # A redirect would still be the forge's navigation, which a Strict cookie does not go with.
    answer = pages_of(request).answer(request, "arrival.html", who=None, address=begun.following)
    answer.headers["Cache-Control"] = "no-store"
    answer.delete_cookie(LOGIN_COOKIE, path="/login")
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=SESSION_S,
        httponly=True,
        samesite="strict",
        secure=here.settings.url.startswith("https:"),
    )
    return answer


def _forge(here: Services, connection: str) -> tuple[Connection, LoginPlace]:
    """Raises Problem."""
    found = here.directory.find(connection)
    place = None if found is None else login_place(found)
    if found is None or place is None:
        raise Problem(404, "No such login", "The login page has those that there are.")
    return found, place


def _redirect_uri(here: Services, forge: Connection) -> str:
    return f"{here.settings.url}/login/{forge.id}/callback"


async def _session(here: Services, forge: Connection, who: Account) -> str:
    """A key for this browser; answers its secret."""
    secret = new_secret()
    now = here.now()
    session = Token(
        digest=digest_of_secret(secret),
        name=f"{who.login}@{forge.id}",
        # The forge says what of this it is good for, in each Repo.
        scope=Level.ADMIN,
        connection=forge.id,
        user=who.id,
        login=who.login,
        created_at=now,
        expires_at=now + SESSION_S,
    )
    await here.sessions.put(session)
    log.info("logged_in", name=session.name, user=who.id, session=session.id)
    return secret
