"""Auth: who is asking. A bearer token in a header, or the same token in a cookie for browsers.

A cookie is only believed for a change if the request comes from our own pages (Sec-Fetch-Site or
Origin), so that another site's form can do nothing in a logged-in person's name.
"""

from typing import Annotated

from fastapi import Depends, Request

from ci_host.access import Token, digest_of_secret
from ci_host.api.problems import Problem
from ci_host.api.services import Services

COOKIE = "staunch_token"
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def services(request: Request) -> Services:
    """This process's services."""
    found: Services = request.app.state.services
    return found


def person(request: Request) -> Token:
    """The person who is asking. Raises Problem 401, or 403 for a forged form."""
    bearer = request.headers.get("authorization", "")
    secret = bearer.removeprefix("Bearer ").strip() if bearer.startswith("Bearer ") else ""
    if not secret:
        secret = request.cookies.get(COOKIE, "")
        if secret and request.method not in READING and not is_from_here(request):
            raise Problem(403, "Not from our pages", "Send this from Staunch's own page.")
    token = services(request).directory.tokens.get(digest_of_secret(secret)) if secret else None
    if token is None or token.revoked:
        unknown = "This token is not valid here: it is unknown or revoked. " if secret else ""
        raise Problem(
            401,
            "Who are you?",
            f"{unknown}Send `Authorization: Bearer <token>`. `staunch up` writes one to token in"
            " its data directory; an administrator makes more with `staunch token add`.",
        )
    return token


def admin(who: "Person") -> Token:
    """The same, if an administrator. Raises Problem 403."""
    if not who.admin:
        raise Problem(403, "Administrators only", f"{who.name} may not change settings.")
    return who


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
