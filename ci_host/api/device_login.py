"""Routes by which a command line is let in: it asks, somebody answers in a browser, it fetches."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from ci_host.api.audit import address_of
from ci_host.api.auth import Here
from ci_host.api.bodies import read_json
from ci_host.api.problems import Problem

POLL_S = 1.0
VERIFIER_CHARS_MIN, VERIFIER_CHARS_MAX = 43, 128


async def checked(request: Request) -> None:
    """Nobody's identity reads the body before here. Raises Problem: it is no text."""
    await read_json(request)


router = APIRouter(prefix="/api/v1/logins", tags=["tokens"], dependencies=[Depends(checked)])


class AskBody(BaseModel):
    """`challenge`: the sha256 of the verifier, in hex. `machine`: what people know it by."""

    challenge: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    machine: Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


class ClaimBody(BaseModel):
    """The code that was answered, and the verifier of its challenge."""

    code: Annotated[str, Field(max_length=20)]
    verifier: Annotated[str, Field(min_length=VERIFIER_CHARS_MIN, max_length=VERIFIER_CHARS_MAX)]


@router.post("", status_code=201, summary="Ask to be let in as whoever answers")
async def ask(here: Here, body: AskBody, request: Request) -> dict[str, Any]:
    """Somebody who is logged in answers at `url`, where `code` is shown; then it is fetched with
    `POST /logins/claim`, every `poll_s` seconds, until `expires_at`. Needs no token."""
    asked = here.device_logins.ask(body.challenge, body.machine, address_of(request))
    url = f"{here.settings.url}/let-in/{asked.code}"
    return {"code": asked.code, "url": url, "poll_s": POLL_S, "expires_at": asked.until}


@router.post("/claim", summary="Fetch the token that was given")
async def claim(here: Here, body: ClaimBody, response: Response) -> dict[str, Any]:
    """202 while nobody has answered. The `secret` is answered once. Needs no token."""
    response.headers["Cache-Control"] = "no-store"
    asked = here.device_logins.claim(body.code, body.verifier)
    if asked is None:
        said = "It was never asked for, was fetched, or took longer than ten minutes: ask again."
        raise Problem(404, "No such login", said)
    if asked.secret is None:
        raise Problem(403, "Turned away", "Whoever answered it in the browser said no.")
    response.status_code = 200 if asked.secret else 202
    return {"secret": asked.secret or None}
