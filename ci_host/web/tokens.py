"""Tokens: the page of everybody's keys, on which administrators make and revoke them.

A new key is shown in the answer to the form that made it, which no browser keeps, and nowhere else.
"""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field, ValidationError

from ci_host.access import Level, Token
from ci_host.api.auth import Admin, Here
from ci_host.api.bodies import read_form
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.api.tokens import DAYS_MAX, TokenBody, make_token, revoke_token, tokens_listed
from ci_host.web.forms import sent_by_button
from ci_host.web.page import PageRoute, pages_of

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
    made = await make_token(here, who, _asked(await read_form(request)))
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
    tokens = tokens_listed(here)
    good = [one for one in tokens if not one["revoked"] and (one["expires_at"] or now + 1) > now]
    return pages_of(request).answer(
        request,
        "tokens.html",
        who=who,
        made=made,
        good=good,
        over=[one for one in tokens if one not in good],
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
                "teams": _words(form.get("teams", "")),
                "scope": form.get("scope", ""),
                "repos": _words(form.get("repos", "")),
                "days": form.get("days", "").strip() or None,
            }
        )
    except ValidationError as error:
        wrong = "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())
        raise Problem(422, "Not of the form it must have", f"{wrong}. Go back.") from error


def _words(text: str) -> list[str]:
    """What is separated by commas or blanks: names of teams and repositories have none."""
    return text.replace(",", " ").split()
