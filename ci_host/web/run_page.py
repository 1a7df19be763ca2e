"""RunPage: one Run: why it failed, what it did, its steps and a log, and five ways to look at it.

`/fragment` are the parts of it that move, for `static/live.js`; what each tab shows is in
`run_tabs.py`.
"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from ci_host.access import Token
from ci_host.adapters.sql import queries
from ci_host.adapters.sql.queries import RunDetail
from ci_host.adapters.sql.tables import RunRow
from ci_host.api.asked import asked
from ci_host.api.auth import Here, Person
from ci_host.api.failures import evidence_of
from ci_host.api.log_tail import TAIL_LINES, log_tail
from ci_host.api.runs import durable, folded, pools_for, resolve
from ci_host.api.services import Services
from ci_host.api.sight import is_whole
from ci_host.api.standing_by import PHASE as STANDBY
from ci_host.api.standing_by import shells, terminals_of, with_standbys
from ci_host.api.views import services_view
from ci_host.api.waiting import waiting
from ci_host.web.attempts_beside import beside, other_attempt
from ci_host.web.forge_links import ForgeLinks, links_of
from ci_host.web.page import PageRoute, pages_of
from ci_host.web.run_address import RunAddress
from ci_host.web.run_tabs import tab_of
from ci_host.web.run_view import RunView, run_view
from pipelines.ids import RunId
from pipelines.priority import LEVELS
from pipelines.run import FINAL

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Asked = Annotated[RunAddress, Depends(asked(RunAddress))]


@router.get("/runs/{run}")
async def run_page(here: Here, who: Person, request: Request, run: str, asked: Asked) -> Response:
    """One run, whole."""
    detail = await _detail(here, run)
    shown = await _run(here, who, detail, asked)
    chosen = shown["view"].chosen
    if (other := shown["other"]) is not None and chosen is not None:
        both = await beside(here, chosen, other)
        return await pages_of(request).answer_large(
            request, "run.html", who=who, tail=[], both=both, **shown
        )
    tail = [] if chosen is None else await log_tail(here, chosen, TAIL_LINES, shown["service"])
    return await pages_of(request).answer_large(
        request, "run.html", who=who, tail=tail, both=None, **shown
    )


@router.get("/runs/{run}/fragment")
async def run_fragment(
    here: Here,
    who: Person,
    request: Request,
    run: str,
    asked: Asked,
    part: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """The parts that move, or (`part=tab`) only the tab; its log moves by itself."""
    detail = await _detail(here, run)
    if part == "tab":
        view = run_view(detail, who, asked.job, asked.attempt)
        shown = await _tab(here, detail, view, asked)
        return await pages_of(request).answer_large(request, "run_tab_alone.html", who=who, **shown)
    shown = await _run(here, who, detail, asked)
    return await pages_of(request).answer_large(request, "run_parts.html", who=who, **shown)


async def _detail(here: Services, text: str) -> RunDetail:
    if is_whole(here, text):
        detail = await asyncio.to_thread(queries.run_detail, here.model, RunId(text))
        if detail is not None:
            return detail
    found = await resolve(here, text)
    detail = await asyncio.to_thread(queries.run_detail, here.model, found)
    # One that has only just begun, by a button of this page perhaps: it is there in a moment.
    return await folded(here, await durable(here, found)) if detail is None else detail


async def _run(here: Services, who: Token, detail: RunDetail, asked: RunAddress) -> dict[str, Any]:
    view = run_view(detail, who, asked.job, asked.attempt)
    terminals = await terminals_of(here, detail)
    records = waiting(detail, await pools_for(here, detail))
    waits = with_standbys(detail.run.id, records, terminals)
    beside = [] if view.chosen is None else services_view(view.chosen)
    names = [one["name"] for one in beside]
    return {
        **await _tab(here, detail, view, asked),
        "services": beside,
        "service": asked.service if asked.service in names else "",
        "other": other_attempt(detail.attempts, view.chosen, asked.beside),
        "lacks": [one for one in waits if one.get("lack")],
        "held": {one["key"]: one["held"] for one in waits if one.get("held")},
        "moving": {one["key"]: one["moving"]["words"] for one in waits if one.get("moving")},
        "standbys": [one for one in waits if one.get("phase") == STANDBY],
        "shells": shells(detail.attempts, terminals),
        "priorities": LEVELS,
        "evidence": await evidence_of(here, detail, view.failure),
        "is_cancelling": any(given.type == "cancel_requested" for given in detail.inputs),
    }


async def _tab(
    here: Services, detail: RunDetail, view: RunView, asked: RunAddress
) -> dict[str, Any]:
    """What every part of the page needs, and what the tab shows."""
    now = here.now()
    return {
        "run": detail.run,
        "detail": detail,
        "view": view,
        "links": _links(here, detail.run),
        "is_over": detail.run.state in FINAL,
        "now": now,
        "address": asked,
        "to_log": asked.logs(),
        **await tab_of(here, detail, view, asked, now),
    }


def _links(here: Services, row: RunRow) -> ForgeLinks:
    connection = here.directory.find(row.connection)
    repo = here.directory.repos.get(row.repo)
    return links_of(repo, None if connection is None else connection.kind, row.commit)
