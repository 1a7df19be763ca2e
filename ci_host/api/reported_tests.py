"""Routes of the tests that jobs reported: of one Run, and of a repository over its newest Runs."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from ci_host.adapters.sql import reported_tests
from ci_host.api.auth import Here, Person
from ci_host.api.runs import resolve
from ci_host.api.sight import named_repo
from ci_host.api.views import test_view

TESTS_MAX = 10_000

router = APIRouter(prefix="/api/v1", tags=["tests"])


@router.get("/runs/{run}/tests", summary="The tests that the jobs of a run reported")
async def tests_of_run(
    here: Here,
    _who: Person,
    run: str,
    outcome: Literal["", "passed", "failed", "error", "skipped", "broken"] = "",
    job: Annotated[str, Query(max_length=8_192)] = "",
    limit: Annotated[int, Query(ge=1, le=TESTS_MAX)] = 1_000,
) -> dict[str, Any]:
    """`outcome=broken`: failed or error. The counts of all are with each attempt of the run."""
    found = await resolve(here, run)
    rows = await asyncio.to_thread(
        reported_tests.of_run, here.model, found, outcome=outcome, job=job, limit=limit
    )
    return {"tests": [test_view(row) for row in rows]}


@router.get("/tests", summary="The tests of a repository: how often, how fast, how flaky")
async def tests_of_repo(
    here: Here,
    _who: Person,
    repo: str,
    flaky: bool = False,
    limit: Annotated[int, Query(ge=1, le=TESTS_MAX)] = 100,
) -> dict[str, Any]:
    """The flakiest first, then the slowest. `flaky`: only what passed and failed at one commit."""
    known = named_repo(here, repo)
    name = repo if known is None else known.id
    found = await asyncio.to_thread(reported_tests.of_repo, here.model, name)
    shown = [one for one in found if one.flaky_commits or not flaky]
    return {"tests": [asdict(one) for one in shown[:limit]]}
