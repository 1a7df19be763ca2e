"""Problems: every refusal of the API in one form, RFC 9457 `application/problem+json`."""

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from ci_host.engine.people import PersonRefused
from ci_host.ports import Unavailable

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


def install(app: FastAPI) -> None:
    """Have every error of the routes answered in this form."""

    async def on_problem(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return answer(error.status, error.title, error.detail)

    async def on_refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, PersonRefused)
        return answer(error.status, "Not accepted", str(error))

    async def on_invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        said = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        )
        return answer(422, "The request is not of the form it must have", said)

    async def on_unavailable(_request: Request, error: Exception) -> Response:
        return answer(503, "The store does not answer", f"{error}; try again in a moment")

    async def on_bug(_request: Request, error: Exception) -> Response:
        log.exception("request_broke", error=repr(error))
        return answer(500, "An error of Staunch's own", "The host's log has it; please report it.")

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(PersonRefused, on_refused)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Unavailable, on_unavailable)
    app.add_exception_handler(Exception, on_bug)
