"""Routes of coverage: what the jobs of a Run reported, file by file, beside the Run before."""

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter

from ci_host.adapters.sql import queries
from ci_host.adapters.sql.coverage import coverage_of
from ci_host.api.auth import Here, Person
from ci_host.api.problems import Problem
from ci_host.api.runs import resolve
from ci_host.api.views import coverage_view
from pipelines.job import CoveredFile

router = APIRouter(prefix="/api/v1", tags=["coverage"])


@router.get("/runs/{run}/coverage", summary="The coverage that the jobs of a run reported")
async def coverage_of_run(here: Here, _who: Person, run: str) -> dict[str, Any]:
    """Of each attempt the lines that could be run and were, for all files and for each.

    `before`: the newest earlier run of the same branch, with the same job.
    """
    found = await resolve(here, run)
    detail = await asyncio.to_thread(queries.run_detail, here.model, found)
    if detail is None:
        raise Problem(404, "Not there yet", f"Run {found} has only just begun; try again.")
    jobs = [
        {
            "job": row.job,
            "key": row.key,
            "attempt": row.attempt,
            **view,
            "files": [_file(one) for one in coverage.files],
            "files_left_out": coverage.left_out,
        }
        for row in detail.attempts
        if (view := coverage_view(row, detail.earlier)) and (coverage := coverage_of(row))
    ]
    return {"run": found, "jobs": jobs}


def _file(one: CoveredFile) -> dict[str, Any]:
    return {**msgspec.structs.asdict(one), "percent": one.percent}
