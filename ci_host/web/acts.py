"""Acts: what a person does on a page: log in and out, answer a gate, pause, cancel, run again.

Each is a plain form that works without JavaScript. They call what the API calls. A form of another
site is refused by `api/auth.py`, or here where nobody is logged in yet.
"""

from collections.abc import Awaitable, Callable

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from ci_host.access import digest_of_secret
from ci_host.api.acts import ACTS, Act
from ci_host.api.auth import COOKIE, Here, Person, is_from_here
from ci_host.api.bodies import read_form
from ci_host.api.problems import Problem
from ci_host.api.runs import resolve
from ci_host.engine.people import Answer
from ci_host.engine.reruns import Wish
from ci_host.web.forge_login import login_forges
from ci_host.web.forms import gate_inputs, priority_of
from ci_host.web.page import PageRoute, pages_of
from ci_host.web.redirects import HOME, safe_next
from pipelines.commands import GateTerms

COOKIE_S = 30 * 86_400

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.post("/login")
async def log_in(here: Here, request: Request) -> Response:
    """Keep a token that is known in a cookie."""
    if not is_from_here(request):
        raise Problem(403, "Not from our pages", "Log in on Staunch's own page.")
    form = await read_form(request)
    secret = form.get("token", "").strip()
    following = safe_next(form.get("next", HOME))
    token = here.directory.tokens.get(digest_of_secret(secret))
    if token is None or not token.holds(here.now()):
        said = "This is not a token that is valid here."
        return pages_of(request).answer(
            request,
            "login.html",
            who=None,
            status=401,
            following=following,
            refused=said,
            forges=login_forges(here),
        )
    answer = RedirectResponse(following, 303)
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=COOKIE_S,
        httponly=True,
        samesite="strict",
        secure=here.settings.url.startswith("https:"),
    )
    return answer


@router.post("/logout")
async def log_out(here: Here, who: Person) -> Response:
    """Forget the cookie; what it held is worth nothing any more, if it was logged in for."""
    if who.connection:
        await here.sessions.put(msgspec.structs.replace(who, revoked=True))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


@router.post("/runs/{run}/gates")
async def answer_gate(here: Here, who: Person, request: Request, run: str) -> Response:
    """Approve or reject."""
    found = await resolve(here, run)
    form = await read_form(request)
    key, decision = form.get("key", ""), form.get("decision", "")
    if decision not in ("approve", "reject"):
        raise Problem(422, "No decision", "Use one of the gate's two buttons.")
    approved = decision == "approve"
    inputs = {}
    if approved:
        last = await here.history.last_turn(found)
        gates = [] if last is None else last.turn.open.gates
        # One that is not open asks for nothing; `answer_gate` says why it takes no answer.
        wanted = next((gate.terms for gate in gates if gate.key == key), GateTerms())
        inputs = gate_inputs(wanted, form)
    answer = Answer(approved, inputs, form.get("comment", "").strip())
    await here.people.answer_gate(found, key, who, answer)
    return RedirectResponse(safe_next(form.get("next", f"/runs/{found}")), 303)


@router.post("/runs/{run}/retry")
async def retry_now(here: Here, who: Person, request: Request, run: str) -> Response:
    """End the pause before a step's next attempt."""
    found = await resolve(here, run)
    form = await read_form(request)
    await here.people.retry_now(found, form.get("key", ""), who)
    return RedirectResponse(f"/runs/{found}", 303)


def _form(act: Act) -> Callable[..., Awaitable[Response]]:
    async def tell(here: Here, who: Person, request: Request, run: str) -> Response:
        found = await resolve(here, run)
        form = await read_form(request)
        await act.do(here.people, found, form.get("reason", "").strip(), who)
        return RedirectResponse(f"/runs/{found}", 303)

    return tell


for _name, _act in ACTS.items():
    router.add_api_route(f"/runs/{{run}}/{_name}", _form(_act), methods=["POST"], name=_name)


@router.post("/runs/{run}/again")
async def run_again(here: Here, who: Person, request: Request, run: str) -> Response:
    """The same once more, as the next attempt."""
    found = await resolve(here, run)
    form = await read_form(request)
    wish = Wish(form.get("failed_only") == "yes", priority=priority_of(form))
    begun = await here.reruns.rerun(found, wish, who)
    return RedirectResponse(f"/runs/{begun.run}", 303)
