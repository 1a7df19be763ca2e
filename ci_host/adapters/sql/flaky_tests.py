"""Flaky tests in the read model: those that both passed and failed at one commit.

The database counts them, for the page of a repository; all that is known of each test is
`reported_tests.py`'s. Read-only, blocking.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, Subquery, case, desc, func, select
from sqlmodel import col

from ci_host.adapters.sql.read_model import ReadModel
from ci_host.adapters.sql.reported_tests import BROKEN, LOOKED_AT_MAX
from ci_host.adapters.sql.tables import ReportedTestRow


@dataclass(frozen=True, slots=True)
class FlakyTest:
    """One test that both passed and failed at `commits` commits; there it failed `failed` of
    `times` times. `last_failed_run`, `last_failed_at`: the newest of those."""

    suite: str
    name: str
    commits: int
    times: int
    failed: int
    last_failed_run: str
    last_failed_at: float


@dataclass(frozen=True, slots=True)
class _AtCommit:
    """Of one test at one commit: how often it ran and failed, and when it failed last."""

    times: int
    failed: int
    last_at: float


def flaky_of_repo(model: ReadModel, repo: str, limit: int) -> list[FlakyTest]:
    """Of a Repo (its id), those that were so at most commits first."""
    found: dict[tuple[str, str], list[_AtCommit]] = defaultdict(list)
    with model.engine.connect() as connection:
        for suite, name, times, failed, last in connection.execute(_both(_looked_at(repo))):
            found[suite, name].append(_AtCommit(times, failed, last))
        order = sorted(found, key=lambda test: (-len(found[test]), test))[:limit]
        return [_flaky(connection, repo, test, found[test]) for test in order]


def _looked_at(repo: str) -> Subquery:
    broken = case((col(ReportedTestRow.outcome).in_(BROKEN), 1), else_=0).label("broken")
    names = ("suite", "name", "commit", "at")
    return (
        select(*(getattr(ReportedTestRow, name) for name in names), broken)
        .where(col(ReportedTestRow.repo) == repo, col(ReportedTestRow.outcome) != "skipped")
        .order_by(desc(col(ReportedTestRow.at)))
        .limit(LOOKED_AT_MAX)
        .subquery()
    )


def _both(looked_at: Subquery) -> Select[str, str, int, int, float]:
    one, times, failed = looked_at.c, func.count(), func.sum(looked_at.c.broken)
    last = func.max(case((one.broken == 1, one.at), else_=0.0))
    return (
        select(one.suite, one.name, times, failed, last)
        .group_by(one.suite, one.name, one.commit)
        .having(failed > 0, failed < times)
    )


def _flaky(
    connection: Connection, repo: str, test: tuple[str, str], at: Sequence[_AtCommit]
) -> FlakyTest:
    last = max(one.last_at for one in at)
    run = select(col(ReportedTestRow.run)).where(
        col(ReportedTestRow.repo) == repo,
        col(ReportedTestRow.at) == last,
        col(ReportedTestRow.suite) == test[0],
        col(ReportedTestRow.name) == test[1],
        col(ReportedTestRow.outcome).in_(BROKEN),
    )
    return FlakyTest(
        *test,
        commits=len(at),
        times=sum(one.times for one in at),
        failed=sum(one.failed for one in at),
        last_failed_run=connection.execute(run).scalars().first() or "",
        last_failed_at=last,
    )
