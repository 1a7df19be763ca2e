"""Failures: why a Run failed, as its page and `staunch why` show it: one answer, and all of it.

Here is what is chosen of what is known; the page's layout is the web's.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import APIRouter

from ci_host.adapters.sql import queries
from ci_host.adapters.sql.queries import RunDetail
from ci_host.adapters.sql.tables import AttemptRow, ReportedTestRow
from ci_host.api.auth import Here, Person
from ci_host.api.log_tail import FAILURE_LINES, log_tail
from ci_host.api.runs import resolve
from ci_host.api.services import Services
from ci_host.api.sight import no_such_run
from ci_host.api.views import test_view
from pipelines.failure import Failure
from pipelines.job import Annotation

BROKEN = frozenset({"failed", "timed_out", "lost", "refused"})
TESTS_SHOWN_MAX = 20

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])


@dataclass(frozen=True, slots=True)
class FailureCard:
    """Why the Run failed: what the plan saw, and what the job that broke it had to say."""

    failure: Failure
    job: AttemptRow | None
    annotations: Sequence[Annotation]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the job that broke left of it: the lines that matter, and its tests that failed."""

    log: Sequence[str] = ()
    tests: Sequence[ReportedTestRow] = ()


@router.get("/{run}/failure", summary="Why a run failed, with the lines that matter")
async def failure_of_run(here: Here, _who: Person, run: str) -> dict[str, Any]:
    """`failure` null: it did not fail, or not yet. `log`: the last lines of the job that broke,
    without colours. `tests`: some of its tests that failed."""
    found = await resolve(here, run)
    detail = await asyncio.to_thread(queries.run_detail, here.model, found)
    if detail is None:
        raise no_such_run(run)
    card = card_of(detail)
    told: dict[str, Any] = {
        "run": found,
        "state": detail.run.state,
        "url": f"{here.settings.url}/runs/{found}",
        **dict.fromkeys(("failure", "job"), None),
        **{name: [] for name in ("annotations", "log", "tests")},
    }
    if card is None:
        return told
    told["failure"] = msgspec.to_builtins(card.failure)
    if card.job is None:
        return told
    job, evidence = card.job, await evidence_of(here, detail, card)
    return told | {
        "job": {
            **{name: getattr(job, name) for name in ("job", "key", "attempt", "state", "exit_code")}
        },
        "annotations": msgspec.to_builtins(card.annotations),
        "log": evidence.log,
        "tests": [test_view(row) for row in evidence.tests],
    }


async def evidence_of(here: Services, detail: RunDetail, card: FailureCard | None) -> Evidence:
    """Of the job that the card is about; nothing where it is about none."""
    if card is None or card.job is None:
        return Evidence()
    broken = [row for row in detail.broken_tests if row.job == card.job.job]
    return Evidence(await log_tail(here, card.job, FAILURE_LINES), broken[:TESTS_SHOWN_MAX])


def card_of(detail: RunDetail) -> FailureCard | None:
    """What is shown first of a Run that failed; None: it did not."""
    if detail.run.error_json is None:
        return None
    failure = msgspec.json.decode(detail.run.error_json, type=Failure)
    job = _broken_job(detail, failure)
    notes = [] if job is None else annotations_of(job)
    return FailureCard(failure, job, notes)


def _broken_job(detail: RunDetail, failure: Failure) -> AttemptRow | None:
    """The Attempt that the failure is about; else the first that broke."""
    broken = [attempt for attempt in detail.attempts if attempt.state in BROKEN]
    blamed = [attempt for attempt in broken if attempt.key == failure.step]
    if blamed:
        return max(blamed, key=lambda one: one.attempt)
    last_broken = {s.key for s in detail.steps if s.kind == "job" and s.state in BROKEN}
    found = [attempt for attempt in broken if attempt.key in last_broken]
    return found[0] if found else None


def annotations_of(attempt: AttemptRow) -> list[Annotation]:
    """What the Attempt's log said about places in the repository."""
    return msgspec.json.decode(attempt.annotations_json, type=list[Annotation])
