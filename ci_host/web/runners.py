"""Runners: their page: pools, who is alive and busy with what, what waits and why."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from ci_host.adapters.nats import subjects
from ci_host.api.auth import Admin, Here, Person
from ci_host.api.bodies import read_form
from ci_host.api.open_jobs import OpenJob, open_jobs
from ci_host.api.queue import queue_of
from ci_host.api.services import Services
from ci_host.registration import State
from ci_host.web.page import PageRoute, pages_of

# A runner tells of itself each 5 s.
SILENT_S = 20.0
GONE = (State.REVOKED, State.SPENT, State.EXPIRED)

router = APIRouter(include_in_schema=False, route_class=PageRoute)


class _Beat(msgspec.Struct, frozen=True):
    """What is shown of a runner's sign of life."""

    runner: str
    pools: list[str]
    slots: int
    version: str = ""


@router.get("/runners")
async def runners_page(here: Here, who: Person, request: Request) -> Response:
    """All of it as of now; nothing of it is decided here."""
    jobs = await open_jobs(here)
    rules = {rule.pool: rule for rule in await here.catalog.pool_rules()}
    return pages_of(request).answer(
        request,
        "runners.html",
        who=who,
        pools=await queue_of(here),
        rules=rules,
        runners=await _runners(here, jobs),
        waiting=[one for one in jobs if one.is_waiting],
        silent_s=SILENT_S,
        now=here.now(),
    )


@router.post("/runners/drain")
async def drain(here: Here, who: Admin, request: Request) -> Response:
    """A registered runner takes no further job; or does so again, with `resume`."""
    form = await read_form(request)
    is_draining = form.get("act") != "resume"
    await here.registrations.drain(form.get("runner", ""), who.name, is_draining=is_draining)
    return RedirectResponse("/runners", 303)


async def _runners(here: Services, jobs: Sequence[OpenJob]) -> list[dict[str, Any]]:
    """Those that are alive, and those that are registered and may come back, by name."""
    busy: dict[str, list[OpenJob]] = defaultdict(list)
    for one in jobs:
        if not one.is_waiting:
            busy[one.attempt.runner].append(one)
    found: dict[str, dict[str, Any]] = {}
    for stored in await here.bus.read(subjects.RUNNERS, "runner.*"):
        beat = msgspec.json.decode(stored.body, type=_Beat)
        found[beat.runner] = _row(beat.runner, beat.pools, beat=beat, heard_at=stored.at)
    for made in await here.registrations.all():
        state = made.state(here.now())
        if made.id in found or state not in GONE:
            row = found.setdefault(made.id, _row(made.id, [made.pool]))
            row["state"] = state
    for name, row in found.items():
        row["jobs"] = busy[name]
    return [found[name] for name in sorted(found)]


def _row(
    name: str, pools: list[str], beat: _Beat | None = None, heard_at: float | None = None
) -> dict[str, Any]:
    """`state`: of its registration; None: it is on the host's own machine, and has none."""
    return {"name": name, "pools": pools, "beat": beat, "heard_at": heard_at, "state": None}
