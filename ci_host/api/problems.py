"""Problems: every refusal of the API in one form, RFC 9457 `application/problem+json`."""

import asyncio

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ci_host.engine.asked_again import KeyTaken
from ci_host.engine.people import PersonRefused
from ci_host.envelopes import Unopenable
from ci_host.ports import Damaged, Unavailable
from webhooks.errors import InboxUnavailable

RETRY_AFTER_S = "2"

log = structlog.get_logger()


class Problem(Exception):
    """A refusal: `title` for a heading, `detail` says what happened and what to do next."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail


def answer(status: int, title: str, detail: str) -> Response:
    """The response for a refusal."""
    headers = {"Retry-After": RETRY_AFTER_S} if status == 503 else None
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def said_of(error: RequestValidationError) -> str:
    """Of each thing that is not as it must be: where it stands, and what it should be."""
    return "; ".join(
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
    )


class Interrupted:
    """Answers 503 to whoever waits for an answer while the host ends, and not a broken 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        has_begun = False

        async def told(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, told)
        except asyncio.CancelledError:
            # Only the end of the server cancels a request.
            if scope["type"] == "http" and not has_begun:
                ending = answer(503, "The host is ending", "Ask again: it comes back in a moment.")
                await ending(scope, receive, send)


def install(app: FastAPI) -> None:
    """Have every error of the routes answered in this form."""

    async def on_problem(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return answer(error.status, error.title, error.detail)

    async def on_refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, PersonRefused)
        return answer(error.status, "Not accepted", str(error))

    async def on_key_taken(_request: Request, error: Exception) -> Response:
        assert isinstance(error, KeyTaken)
        return answer(422, error.title, str(error))

    async def on_invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(422, "The request is not of the form it must have", said_of(error))

    async def on_unavailable(_request: Request, error: Exception) -> Response:
        return answer(503, "The store does not answer", f"{error}; try again in a moment")

    async def on_damaged(_request: Request, error: Exception) -> Response:
        return answer(410, "A part of it is lost", str(error))

    async def on_unopenable(_request: Request, error: Exception) -> Response:
        return answer(409, "Secrets cannot be opened", str(error))

    async def on_bug(_request: Request, error: Exception) -> Response:
        log.exception("request_broke", error=repr(error))
        return answer(500, "An error of Staunch's own", "The host's log has it; please report it.")

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(PersonRefused, on_refused)
    app.add_exception_handler(KeyTaken, on_key_taken)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Unavailable, on_unavailable)
    app.add_exception_handler(Damaged, on_damaged)
    app.add_exception_handler(Unopenable, on_unopenable)
    app.add_exception_handler(InboxUnavailable, on_unavailable)
    app.add_middleware(Interrupted)
    app.add_exception_handler(Exception, on_bug)
