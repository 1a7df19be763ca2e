"""Tokens: the page of everybody's, on which administrators make and revoke them.

A new one is shown in the answer to the form that made it, which no browser keeps, and nowhere
else; a form that is sent again, as by a reload of that answer, makes none.
"""

import secrets
from heapq import nlargest
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field, ValidationError

from ci_host.access import Level, Token
from ci_host.api.auth import Admin, Here
from ci_host.api.bodies import read_form
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.api.tokens import DAYS_MAX, TokenBody, new_token, revoke_token, token_views
from ci_host.web.forms import sent_by_button
from ci_host.web.page import PageRoute, pages_of

OVER_SHOWN = 100
FORM_CHARS_MAX = 64

router = APIRouter(include_in_schema=False, route_class=PageRoute)


class NamedToken(BaseModel):
    """The token of a button, by its id."""

    id: str = Field(min_length=1, max_length=100)


@router.get("/tokens")
async def tokens_page(here: Here, who: Admin, request: Request) -> Response:
    """Whose, for what, until when; no secret is kept, so none is shown."""
    return _page(here, who, request)


@router.post("/tokens")
async def make(here: Here, who: Admin, request: Request) -> Response:
    """Make one, and show its secret this once."""
    form = await read_form(request)
    called = form.get("form", "")
    if not called or len(called) > FORM_CHARS_MAX:
        raise Problem(422, "Not the form of the page", "Open the page Tokens, and use its form.")
    made = await new_token(here, who, _asked(form), called)
    answer = _page(here, who, request, made)
    # Not even Back or a restart of the browser shows it again.
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.post("/tokens/revoke")
async def revoke(here: Here, who: Admin, request: Request) -> Response:
    """End one, and the command lines that were let in with it."""
    named = await sent_by_button(request, NamedToken, "token")
    await revoke_token(here, who, named.id)
    return RedirectResponse("/tokens", 303)


def _page(
    here: Services, who: Token, request: Request, made: dict[str, Any] | None = None
) -> Response:
    now = here.now()
    good, over = list[Token](), list[Token]()
    for one in here.directory.tokens.values():
        (good if one.holds(now) else over).append(one)
    good.sort(key=lambda one: (one.name, one.created_at))
    newest = nlargest(OVER_SHOWN, over, key=lambda one: one.created_at)
    return pages_of(request).answer(
        request,
        "tokens.html",
        who=who,
        made=made,
        form=secrets.token_urlsafe(16),
        good=token_views(here, good),
        over=token_views(here, newest),
        over_count=len(over),
        scopes=list(Level),
        default=TokenBody.model_fields["scope"].default,
        days_max=DAYS_MAX,
        now=now,
    )


def _asked(form: dict[str, str]) -> TokenBody:
    """What the form says. Raises Problem."""
    try:
        return TokenBody.model_validate(
            {
                "name": form.get("name", "").strip(),
                "teams": _between_commas(form.get("teams", "")),
                "scope": form.get("scope", ""),
                "repos": _between_commas(form.get("repos", "")),
                "days": form.get("days", "").strip() or None,
            }
        )
    except ValidationError as error:
        wrong = "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())
        raise Problem(422, "Not of the form it must have", f"{wrong}. Go back.") from error


def _between_commas(text: str) -> list[str]:
    """Names of teams may have blanks in them."""
    return [one.strip() for one in text.split(",") if one.strip()]
