"""Coverage in the read model: what the newest earlier Run of the same branch had. Read-only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection
from sqlmodel import col, desc, select

from ci_host.adapters.sql.reading import rows
from ci_host.adapters.sql.tables import AttemptRow, RunRow
from pipelines.job import Coverage

# So many earlier Runs of the branch are looked at.
LOOKED_BACK_MAX = 200


@dataclass(frozen=True, slots=True)
class Earlier:
    """The coverage of a job in an earlier Run."""

    run: str
    coverage: Coverage


def coverage_of(row: AttemptRow) -> Coverage | None:
    """What the Attempt reported, or None."""
    if row.coverage_json is None:
        return None
    return msgspec.json.decode(row.coverage_json, type=Coverage)


def earlier(
    connection: Connection, run: RunRow, attempts: Iterable[AttemptRow]
) -> Mapping[str, Earlier]:
    """By job: of the same Repo, pipeline and ref, the newest that reported before this Run did."""
    keys = {row.key for row in attempts if row.coverage_json is not None}
    if not keys:
        return {}
    before = (
        select(RunRow.id)
        .where(RunRow.repo == run.repo, RunRow.pipeline == run.pipeline, RunRow.ref == run.ref)
        .where(RunRow.created_at < run.created_at)
        .order_by(desc(RunRow.created_at))
        .limit(LOOKED_BACK_MAX)
    )
    query = (
        select(AttemptRow)
        .where(col(AttemptRow.run).in_(before), col(AttemptRow.key).in_(keys))
        .where(col(AttemptRow.coverage_json).is_not(None))
        .order_by(desc(AttemptRow.finished_at))
    )
    found: dict[str, Earlier] = {}
    for row in rows(connection, query):
        if row.key not in found and (coverage := coverage_of(row)) is not None:
            found[row.key] = Earlier(row.run, coverage)
    return found
