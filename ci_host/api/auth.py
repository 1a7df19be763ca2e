"""Auth: who is asking. A bearer token in a header, or the same token in a cookie for browsers.

A cookie is only believed for a change if the request comes from our own pages (Sec-Fetch-Site or
Origin), so that another site's form can do nothing in a logged-in person's name. What they may do
is checked here for every route, by the table in `permissions.py`.
"""

from typing import Annotated

import msgspec
from fastapi import Depends, Request
from starlette.requests import HTTPConnection
from starlette.types import Scope

from ci_host.access import Level, Token, digest_of_secret
from ci_host.api.bodies import read_form, read_json
from ci_host.api.permissions import Need, Place, need_of
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.api.sight import FOR_MACHINES, Sight, level_in, repos_of, sight_of
from ci_host.audit import named

COOKIE = "staunch_token"
# Where a request holds who changes something with it, until that is recorded.
NOTED = "acts"
READING = frozenset({"GET", "HEAD", "OPTIONS"})


# What depends on a request is async even where it waits for nothing: the framework would have a
# thread do the rest, which costs more than all of it.
async def services(request: Request) -> Services:
    """This process's services."""
    found: Services = request.app.state.services
    return found


async def person(request: Request) -> Token:
    """The person who is asking, if they may do here what the route does.

    `admin` of the answer: whether they may change the settings of what the request is about.
    Raises Problem: 401, 403, or 404 for what they do not see.
    """
    secret = _bearer_in(request)
    if not secret:
        secret = request.cookies.get(COOKIE, "")
        if secret and request.method not in READING and not is_from_here(request):
            raise Problem(403, "Not from our pages", "Send this from Staunch's own page.")
    here = await services(request)
    who = await admitted(here, await token_of(here, secret), request, request.method)
    need = need_of(request.method, request.scope["route"].path)
    if request.method not in READING:
        said = await _body(request)
        # Of what is one's own alone there is no record.
        if need.level is not Level.READ:
            request.state.on = named(dict(request.query_params), said)
            setattr(request.state, NOTED, who)
    return who


def _bearer_in(asked: HTTPConnection) -> str:
    bearer = asked.headers.get("authorization", "")
    return bearer.removeprefix("Bearer ").strip() if bearer.startswith("Bearer ") else ""


async def is_somebodys(scope: Scope) -> bool:
    """Whether a request has a key that is good here, whatever it may do. Raises Unavailable."""
    asked = HTTPConnection(scope)
    secret = _bearer_in(asked) or asked.cookies.get(COOKIE, "")
    here: Services = scope["app"].state.services
    return bool(secret) and await token_by(here, digest_of_secret(secret)) is not None


async def _body(request: Request) -> object:
    """What the route will read, if that is of fields. Raises Problem."""
    if not request.url.path.startswith(FOR_MACHINES):
        return await read_form(request)
    if request.scope["route"].body_field is None:
        return None
    return await read_json(request)


async def token_by(here: Services, digest: str) -> Token | None:
    """The token whose secret has this digest, if it is good still. Raises Unavailable."""
    token = here.directory.tokens.get(digest) or await here.sessions.get(digest)
    return token if token is not None and token.holds(here.now()) else None


async def token_of(here: Services, secret: str) -> Token:
    """The token with this secret. Raises Problem 401, Unavailable."""
    token = await token_by(here, digest_of_secret(secret)) if secret else None
    if token is None:
        unknown = "This token is not valid here: unknown, revoked or expired. " if secret else ""
        raise Problem(
            401,
            "Who are you?",
            f"{unknown}Send `Authorization: Bearer <token>`. `staunch up` writes one to token in"
            " its data directory; an administrator makes more with `staunch token add`.",
        )
    return token


async def admitted(here: Services, token: Token, asked: HTTPConnection, method: str) -> Token:
    """The same person, if what the route takes is theirs. Raises Problem."""
    need = need_of(method, asked.scope["route"].path)
    if not token.is_narrowed:
        _demand(token, need.level, token.level, "")
        return msgspec.structs.replace(token, admin=token.level is Level.ADMIN)
    if need.place in (Place.SELF, Place.LIST):
        _demand(token, need.level, token.level, "")
        return token
    repos = await _places(here, token, asked, need)
    level = token.level
    for repo in repos:
        found = await level_in(here, token, repo)
        if found is None:
            # It was seen a moment ago; the forge has changed its mind since.
            raise Problem(403, "Not any more", f"{token.name} sees this repository no more.")
        _demand(token, need.level, found, repo)
        level = found
    return msgspec.structs.replace(token, admin=bool(repos) and level is Level.ADMIN)


async def _places(here: Services, token: Token, asked: HTTPConnection, need: Need) -> list[str]:
    """The Repos that it is about; none: a list. Raises Problem."""
    named = [] if need.place is Place.HERE else await repos_of(here, token, asked, need.place)
    if named or need.place is Place.REPO_OR_LIST:
        return named
    if need.place is Place.REPO:
        raise Problem(422, "Which repository?", "Name it: `repo` is missing.")
    raise Problem(
        403,
        "Not for some repositories only",
        f"This is about the whole installation, and {token.name} sees only some of its"
        " repositories.",
    )


def _demand(who: Token, wanted: Level, has: Level, repo: str) -> None:
    if has.covers(wanted):
        return
    if wanted is Level.ADMIN:
        raise Problem(403, "Administrators only", f"{who.name} may not change settings.")
    where = f" in {repo}" if repo else ""
    raise Problem(403, "Only to read", f"{who.name} may read{where}, and not change anything.")


async def admin(who: "Person") -> Token:
    """The same, if an administrator. Raises Problem 403."""
    _demand(who, Level.ADMIN, Level.ADMIN if who.admin else Level.ACT, "")
    return who


async def sight(request: Request, who: "Person") -> Sight:
    """Which repositories they see."""
    return await sight_of(await services(request), who)


def is_from_here(request: Request) -> bool:
    """Whether a browser says that one of our own pages sent this."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin", "")
    return origin.partition("://")[2] == request.headers.get("host", "-")


Here = Annotated[Services, Depends(services)]
Person = Annotated[Token, Depends(person)]
Admin = Annotated[Token, Depends(admin)]
Seen = Annotated[Sight, Depends(sight)]
