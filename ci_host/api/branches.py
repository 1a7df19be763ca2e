"""Routes of branches: which a repository has, and how one of them stands."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query

from ci_host.adapters.sql import branches
from ci_host.adapters.sql.tables import RunRow
from ci_host.api import views
from ci_host.api.auth import Here, Person
from ci_host.api.starting import find_repo
from pipelines.run import RunState

NAME_CHARS_MAX = 1_000
SLOW_SHARE = 0.95
USUAL = ("main", "master", "trunk")
# What says something of the code: who cancels a Run says nothing of it.
DECISIVE = (RunState.SUCCEEDED, RunState.FAILED)

router = APIRouter(prefix="/api/v1/branches", tags=["runs"])


@dataclass(frozen=True, slots=True)
class Health:
    """Of the Runs that were looked at, those that succeeded or failed: how many, and how long they
    took from begin to end, waits at gates included. None: there was none."""

    succeeded: int
    failed: int
    success_share: float | None
    median_s: float | None
    p95_s: float | None


@router.get("", summary="The branches of a repository, each with its newest run")
async def list_branches(
    here: Here,
    _who: Person,
    repo: str,
    limit: Annotated[int, Query(ge=1, le=branches.BRANCHES_MAX)] = branches.BRANCHES_MAX,
) -> dict[str, Any]:
    """The one with the newest run first."""
    found = find_repo(here, repo)
    rows = await asyncio.to_thread(branches.branches, here.model, found.id, limit)
    url = here.settings.url
    return {"branches": [{"ref": row.ref, "run": views.run_view(row, url)} for row in rows]}


@router.get("/health", summary="How a branch stands: its newest runs, how many fail, how long")
async def branch_health(
    here: Here,
    _who: Person,
    repo: str,
    ref: Annotated[str, Query(min_length=1, max_length=NAME_CHARS_MAX)],
    pipeline: Annotated[str, Query(max_length=NAME_CHARS_MAX)] = "",
    limit: Annotated[int, Query(ge=1, le=branches.RUNS_MAX)] = 100,
) -> dict[str, Any]:
    """Over its `limit` newest runs. `ref` is a branch, or a full name. A success share is of what
    succeeded or failed; cancelled runs do not count."""
    found = find_repo(here, repo)
    full = full_ref(ref)
    rows = await asyncio.to_thread(
        branches.runs_of_branch, here.model, found.id, full, pipeline, limit
    )
    shown = [
        {"run": row.id, "state": row.state, "pipeline": row.pipeline, "commit": row.commit,
         "created_at": row.created_at, "finished_at": row.finished_at}
        for row in rows
    ]  # fmt: skip
    return {"repo": found.name, "ref": full, **asdict(health_of(rows)), "runs": shown}


def main_branch(rows: Sequence[RunRow]) -> str:
    """The ref that is shown where none is asked for, of those with these newest Runs; empty: there
    is none. A forge's own choice is not known of every forge."""
    known = [row.ref for row in rows]
    wanted = [f"{branches.HEADS}{name}" for name in USUAL]
    return next((ref for ref in [*wanted, *known] if ref in known), "")


def full_ref(name: str) -> str:
    """A branch as people call it, as a ref."""
    return name if name.startswith("refs/") else f"{branches.HEADS}{name}"


def health_of(rows: Sequence[RunRow]) -> Health:
    """What Runs say together."""
    over = [row for row in rows if row.state in DECISIVE]
    succeeded = sum(row.state == RunState.SUCCEEDED for row in over)
    took = sorted(max(0.0, (row.finished_at or 0.0) - row.created_at) for row in over)
    return Health(
        succeeded=succeeded,
        failed=len(over) - succeeded,
        success_share=succeeded / len(over) if over else None,
        median_s=_share(took, 0.5),
        p95_s=_share(took, SLOW_SHARE),
    )


def _share(took: Sequence[float], share: float) -> float | None:
    """So long took no more than this share of them."""
    return took[math.ceil(share * len(took)) - 1] if took else None
