"""Site: the pages put onto the application: routes, static files, headers, the page for a 404."""

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from ci_host.api import problems
from ci_host.web import (
    acts,
    administration,
    api_page,
    badge,
    forge_login,
    inbox,
    let_in,
    live,
    pages,
    repos,
    run_page,
    runners,
    schedules,
    tokens,
    trust,
    views,
)
from ci_host.web.page import HERE, Pages, SecurityHeaders, refusal

FOR_MACHINES = ("/api/", "/hooks/", "/metrics")


def add_pages(app: FastAPI) -> None:
    """Have the application answer browsers too."""
    app.state.pages = Pages()
    app.add_middleware(SecurityHeaders)
    app.include_router(live.router)
    app.include_router(pages.router)
    app.include_router(api_page.router)
    app.include_router(run_page.router)
    app.include_router(acts.router)
    app.include_router(forge_login.router)
    app.include_router(let_in.router)
    app.include_router(inbox.router)
    app.include_router(repos.router)
    app.include_router(badge.router)
    app.include_router(schedules.router)
    app.include_router(runners.router)
    app.include_router(trust.router)
    app.include_router(administration.router)
    app.include_router(tokens.router)
    app.include_router(views.router)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.add_exception_handler(HTTPException, on_http_error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """No such path, or not with this method: a problem for machines, a page for people."""
    assert isinstance(error, HTTPException)
    if request.url.path.startswith(FOR_MACHINES):
        said = f"{request.url.path} is not in the API; see /docs/api."
        if error.status_code == 405:
            said = f"{request.url.path} does not take {request.method}; see /docs/api."
        elif error.status_code != 404:
            said = "The request cannot be read: send JSON that is not nested too deeply."
        return problems.answer(error.status_code, error.detail, said)
    if error.status_code == 404:
        said = "There is no page at this address. The list of runs has links to all that there are."
        return refusal(request, 404, "Nothing here", said)
    return refusal(request, error.status_code, error.detail, "Go back, and try from the page.")
