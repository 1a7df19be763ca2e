"""Counts of the read model: what is measured of an installation as a whole. Read-only, blocking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlmodel import Session, col, func, select

from ci_host.adapters.sql.read_model import ReadModel
from ci_host.adapters.sql.tables import OPEN_GATE, CursorRow, DeliveryRow, RunRow, StepRow
from pipelines.run import FINAL


@dataclass(frozen=True, slots=True)
class EndedRuns:
    """Those of one repository that ended so, and how long they took together."""

    repo: str
    state: str
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Counts:
    """As of one moment. `open_runs`, `deliveries`: by state. `cursors`: how far each stream is
    folded."""

    open_runs: Mapping[str, int]
    ended: Sequence[EndedRuns]
    gates: int
    deliveries: Mapping[str, int]
    cursors: Mapping[str, int]


def counts(model: ReadModel) -> Counts:
    """Imported Runs are somebody else's, and not counted."""
    own = col(RunRow.is_imported).is_(False)
    final = col(RunRow.state).in_([str(state) for state in FINAL])
    took = func.sum(col(RunRow.finished_at) - col(RunRow.created_at))
    with Session(model.engine) as session:
        open_runs = session.exec(
            select(RunRow.state, func.count()).where(own, ~final).group_by(RunRow.state)
        )
        ended = session.exec(
            select(RunRow.repo_name, RunRow.state, func.count(), took)
            .where(own, final)
            .group_by(RunRow.repo_name, RunRow.state)
        )
        gates = session.exec(select(func.count()).select_from(StepRow).where(text(OPEN_GATE)))
        deliveries = session.exec(
            select(DeliveryRow.state, func.count()).group_by(DeliveryRow.state)
        )
        return Counts(
            open_runs=dict(open_runs.all()),
            ended=[EndedRuns(*row[:3], row[3] or 0.0) for row in ended.all()],
            gates=gates.one(),
            deliveries=dict(deliveries.all()),
            cursors={row.stream: row.sequence for row in session.exec(select(CursorRow))},
        )
