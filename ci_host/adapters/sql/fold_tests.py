"""Fold, for the tests that the report of an Attempt names: a row each, and their counts."""

import msgspec

from ci_host.adapters.sql.rows import Rows
from ci_host.adapters.sql.tables import AttemptRow, ReportedTestRow, RunRow
from pipelines.job import ReportedTests


def fold_tests(rows: Rows, attempt: AttemptRow, reported: ReportedTests) -> None:
    """Called once an Attempt: a late or repeated report changes nothing."""
    counts = msgspec.structs.asdict(reported)
    del counts["tests"]
    attempt.tests_json = msgspec.json.encode(counts).decode()
    about = rows.find(RunRow, attempt.run)
    for position, test in enumerate(reported.tests):
        rows.add(
            ReportedTestRow(
                job=attempt.job,
                position=position,
                run=attempt.run,
                key=attempt.key,
                attempt=attempt.attempt,
                repo=about.repo if about else "",
                commit=about.commit if about else "",
                at=attempt.finished_at or 0.0,
                **msgspec.structs.asdict(test),
            )
        )
