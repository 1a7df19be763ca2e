"""Gates that wait, over all repositories: what somebody sees of them, and may answer.

A gate is answered at its Run: `POST /runs/{run}/gates/{key}` (`runs.py`).
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query

from ci_host.access import Level, Token, may_open
from ci_host.adapters.sql.open_gates import OPEN_GATES_MAX, GatePlace, open_gates
from ci_host.adapters.sql.tables import RunRow
from ci_host.api.auth import Here, Person, Seen
from ci_host.api.paging import Place
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.api.sight import Sight, level_in
from ci_host.engine.people import is_barred
from pipelines.commands import GateTerms
from pipelines.ids import StepKey, is_run_id, step_token

WRITTEN = re.compile(
    r"(?P<since>\d{1,12}(?:\.\d{1,12})?) (?P<run>\S+) (?P<position>\d{1,9})", re.ASCII
)

router = APIRouter(prefix="/api/v1/gates", tags=["runs"])


@dataclass(frozen=True, slots=True)
class WaitingGate:
    """A gate of a Run, open since `since`. `may_answer`: whoever asked may, and has not yet."""

    run: RunRow
    key: str
    token: str
    terms: GateTerms
    approved_by: Sequence[str]
    since: float
    may_answer: bool
    place: GatePlace


@router.get("", summary="List gates that wait for an answer")
async def list_gates(
    here: Here,
    who: Person,
    seen: Seen,
    mine: bool = False,
    after: Place = "",
    limit: Annotated[int, Query(ge=1, le=OPEN_GATES_MAX)] = OPEN_GATES_MAX,
) -> dict[str, Any]:
    """Of all runs, those that wait for longest first. `mine`: only those that you may answer; they
    are answered at their run. `next` is the following page's `after`: with `mine` there may be more
    where a page has fewer, or none."""
    found = await gates_seen(here, who, seen, _read(after), limit)
    return {
        "gates": [_view(here, one) for one in found if one.may_answer or not mine],
        "next": _written(found[-1].place) if len(found) == limit else None,
    }


def _written(place: GatePlace) -> str:
    return f"{place.since!r} {place.run} {place.position}"


def _read(text: str) -> GatePlace | None:
    """Raises Problem: it is none that was answered."""
    if not text:
        return None
    found = WRITTEN.fullmatch(text)
    if found is None or not is_run_id(found["run"]):
        said = f"{text[:100]!r} is no place in this list: `next` of a page gives the following one."
        raise Problem(422, "No such place", said)
    return GatePlace(float(found["since"]), found["run"], int(found["position"]))


async def gates_seen(
    here: Services,
    who: Token,
    seen: Sight,
    after: GatePlace | None = None,
    limit: int = OPEN_GATES_MAX,
) -> list[WaitingGate]:
    """Those of the repositories that are seen."""
    rows = await asyncio.to_thread(open_gates, here.model, seen.repos, after, limit)
    acting: dict[str, bool] = {}
    found = []
    for step, run in rows:
        if run.repo not in acting:
            acting[run.repo] = await _may_act(here, who, run.repo)
        terms = msgspec.json.decode(step.gate_json or "{}", type=GateTerms)
        by = msgspec.json.decode(step.approved_by_json or "[]", type=list[str])
        is_theirs = may_open(who, terms.approvers) and not is_barred(who, terms)
        found.append(
            WaitingGate(
                run=run,
                key=step.key,
                token=step_token(StepKey(step.key)),
                terms=terms,
                approved_by=by,
                since=step.started_at,
                may_answer=acting[run.repo] and is_theirs and who.name not in by,
                place=GatePlace(step.started_at, step.run, step.position),
            )
        )
    return found


async def _may_act(here: Services, who: Token, repo: str) -> bool:
    level = await level_in(here, who, repo) if who.is_narrowed else who.level
    return level is not None and level.covers(Level.ACT)


def _view(here: Services, one: WaitingGate) -> dict[str, Any]:
    return {
        "run": one.run.id,
        "key": one.key,
        "repo": one.run.repo_name,
        "pipeline": one.run.pipeline,
        "title": one.run.title,
        "sender": one.run.sender,
        "since": one.since,
        "approved_by": one.approved_by,
        "may_answer": one.may_answer,
        "terms": msgspec.to_builtins(one.terms),
        "url": f"{here.settings.url}/runs/{one.run.id}",
    }
