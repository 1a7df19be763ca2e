"""Page: how a page is answered: its template, its headers, and a page for every refusal.

What is on which page is in `pages.py`; `static/` and `templates/` are what people see.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ci_host.access import Token
from ci_host.api.problems import Problem, said_of
from ci_host.engine.people import PersonRefused
from ci_host.ports import Unavailable
from ci_host.web import words
from ci_host.web.marks import Marks

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"

CSP = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}

TITLES = {
    403: "Not allowed",
    404: "Not found",
    409: "Not now",
    413: "Too large",
    422: "Not of the form it must have",
    503: "Not at the moment",
}

log = structlog.get_logger()


class Pages:
    """The templates. One per application."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["words"] = words
        self._environment.globals["marks"] = Marks(self._environment)

    def answer(
        self,
        request: Request,
        name: str,
        *,
        who: Token | None,
        status: int = 200,
        **shown: object,
    ) -> Response:
        """A template as a page; it is never kept by anybody on the way."""
        template = self._environment.get_template(name)
        text = template.render(path=request.url.path, who=who, status=status, **shown)
        return HTMLResponse(text, status, {"Cache-Control": "no-cache, private"})

    async def answer_large(
        self, request: Request, name: str, *, who: Token, **shown: object
    ) -> Response:
        """The same, of one that may be large: who asks for others does not wait until it is
        written, for a thread does it."""
        return await asyncio.to_thread(self.answer, request, name, who=who, status=200, **shown)


def pages_of(request: Request) -> Pages:
    """This application's templates."""
    found: Pages = request.app.state.pages
    return found


def refusal(request: Request, status: int, title: str, detail: str) -> Response:
    """A page that says what happened and what to do next."""
    return pages_of(request).answer(
        request, "refusal.html", who=None, status=status, title=title, detail=detail
    )


class PageRoute(APIRoute):
    """A route whose refusals are pages; who is not logged in is led to where one can be."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(request)
            except Problem as problem:
                if problem.status == 401:
                    return _to_login(request)
                return refusal(request, problem.status, problem.title, problem.detail)
            except PersonRefused as error:
                title = TITLES.get(error.status, "Not accepted")
                return refusal(request, error.status, title, _sentence(str(error)))
            except RequestValidationError as error:
                return refusal(request, 422, TITLES[422], _sentence(said_of(error)))
            except Unavailable as error:
                return refusal(request, 503, TITLES[503], f"The store does not answer: {error}.")
            except Exception as error:  # the pages' edge
                log.exception("page_broke", path=request.url.path, error=repr(error))
                said = "The host's log has the details; please report it."
                return refusal(request, 500, "An error of Staunch's own", said)

        return handle


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _to_login(request: Request) -> Response:
    """To the login page, unless the browser only held its cookie back.

    A SameSite=Strict cookie is not sent when a link on another site is followed, so a person who
    comes from their forge looks like a stranger. A page of our own that leads on at once is enough:
    the second request is ours, and brings the cookie.
    """
    if request.method not in ("GET", "HEAD"):
        return RedirectResponse("/login", 303)
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get("sec-fetch-site") == "cross-site":
        return pages_of(request).answer(request, "arrival.html", who=None, address=address)
    return RedirectResponse(f"/login?next={quote(address)}", 303)


class SecurityHeaders:
    """Puts the headers on every answer, streams included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
