"""Tests that jobs reported, in the read model: of one Run, and of a Repo over its newest Runs.

Here: queries, and what the outcomes of one test over time say of it. Read-only, blocking.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import col, desc, select

from ci_host.adapters.sql.read_model import ReadModel
from ci_host.adapters.sql.reading import moment, rows
from ci_host.adapters.sql.tables import ReportedTestRow, RunRow

BROKEN = ("failed", "error")
# Of a Repo so many of the newest are looked at.
LOOKED_AT_MAX = 50_000
SLOW_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class TestHistory:
    """One test of a Repo, over the Runs that were looked at.

    `flaky_commits` is at how many commits it both passed and failed. `seconds_p95`: 95 of 100 times
    it took no longer. `last_outcome`, `last_run`: the newest.
    """

    __test__ = False

    suite: str
    name: str
    times: int
    failed: int
    flaky_commits: int
    seconds_p95: float
    last_outcome: str
    last_run: str
    last_at: float


def of_run(
    model: ReadModel, run: str, *, outcome: str = "", job: str = "", limit: int = 1_000
) -> Sequence[ReportedTestRow]:
    """In the order of jobs, attempts and reports; `outcome="broken"`: failed or error."""
    query = select(ReportedTestRow).where(ReportedTestRow.run == run)
    if outcome:
        wanted = BROKEN if outcome == "broken" else (outcome,)
        query = query.where(col(ReportedTestRow.outcome).in_(wanted))
    if job:
        query = query.where(ReportedTestRow.key == job)
    order = (col(ReportedTestRow.key), col(ReportedTestRow.attempt), col(ReportedTestRow.position))
    with moment(model) as connection:
        return rows(connection, query.order_by(*order).limit(limit))


def of_repo(model: ReadModel, repo: str) -> list[TestHistory]:
    """Every test of a Repo, by its id or name: the flakiest first, then the slowest."""
    ids = select(RunRow.repo).where((RunRow.repo == repo) | (RunRow.repo_name == repo)).distinct()
    query = (
        select(ReportedTestRow)
        .where(col(ReportedTestRow.repo).in_(ids), ReportedTestRow.outcome != "skipped")
        .order_by(desc(ReportedTestRow.at), ReportedTestRow.job, col(ReportedTestRow.position))
        .limit(LOOKED_AT_MAX)
    )
    tests: dict[tuple[str, str], list[ReportedTestRow]] = defaultdict(list)
    with moment(model) as connection:
        for row in rows(connection, query):
            tests[row.suite, row.name].append(row)
    found = [_history(of_one) for of_one in tests.values()]
    return sorted(
        found, key=lambda one: (-one.flaky_commits, -one.seconds_p95, one.suite, one.name)
    )


def _history(told: Sequence[ReportedTestRow]) -> TestHistory:
    newest = told[0]
    outcomes: dict[str, set[bool]] = defaultdict(set)
    for row in told:
        outcomes[row.commit].add(row.outcome in BROKEN)
    took = sorted(row.seconds for row in told)
    return TestHistory(
        suite=newest.suite,
        name=newest.name,
        times=len(told),
        failed=sum(row.outcome in BROKEN for row in told),
        flaky_commits=sum(len(both) == 2 for both in outcomes.values()),
        seconds_p95=took[math.ceil(SLOW_SHARE * len(took)) - 1],
        last_outcome=newest.outcome,
        last_run=newest.run,
        last_at=newest.at,
    )
