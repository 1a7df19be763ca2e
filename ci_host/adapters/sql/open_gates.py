"""Open gates in the read model: the Steps that wait for somebody's answer. Read-only, blocking."""

from collections.abc import Collection, Sequence

from sqlalchemy import text
from sqlmodel import Session, col, select

from ci_host.adapters.sql.read_model import ReadModel
from ci_host.adapters.sql.tables import OPEN_GATE, RunRow, StepRow

# The oldest of them are listed.
OPEN_GATES_MAX = 500
MOVING = ("running", "paused")
OPEN_GATE_HERE = OPEN_GATE.replace("kind", "steps.kind").replace("state", "steps.state")


def open_gates(
    model: ReadModel, repos: Collection[str] | None = None
) -> Sequence[tuple[StepRow, RunRow]]:
    """Those that wait for longest first. `repos`: only of Runs of those."""
    query = (
        select(StepRow, RunRow)
        .join(RunRow, col(RunRow.id) == col(StepRow.run))
        # Not as parameters: with those, SQLite could not tell that the index holds them all.
        .where(text(OPEN_GATE_HERE))
        # An expression, that it does not begin with the Runs that go on: that may be all there are.
        .where((col(RunRow.state) + "").in_(MOVING), RunRow.is_imported == False)  # noqa: E712 SQL
        .where(col(StepRow.gate_json).is_not(None))
        .order_by(col(StepRow.started_at), col(StepRow.run), col(StepRow.position))
        .limit(OPEN_GATES_MAX)
    )
    if repos is not None:
        query = query.where(col(RunRow.repo).in_(repos))
    with Session(model.engine) as session:
        return session.exec(query).all()
