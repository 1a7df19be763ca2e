"""Open gates in the read model: the Steps that wait for somebody's answer. Read-only, blocking."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import text, tuple_
from sqlmodel import Session, col, select

from ci_host.adapters.sql.read_model import ReadModel
from ci_host.adapters.sql.tables import OPEN_GATE, RunRow, StepRow

# So many of them are listed at once, the oldest first.
OPEN_GATES_MAX = 500
MOVING = ("running", "paused")
OPEN_GATE_HERE = OPEN_GATE.replace("kind", "steps.kind").replace("state", "steps.state")


@dataclass(frozen=True, slots=True)
class GatePlace:
    """Where a Gate is among those that are open."""

    since: float
    run: str
    position: int


def open_gates(
    model: ReadModel,
    repos: Collection[str] | None = None,
    after: GatePlace | None = None,
    limit: int = OPEN_GATES_MAX,
) -> Sequence[tuple[StepRow, RunRow]]:
    """Those that wait for longest first. `repos`: only of Runs of those."""
    order = (col(StepRow.started_at), col(StepRow.run), col(StepRow.position))
    query = (
        select(StepRow, RunRow)
        .join(RunRow, col(RunRow.id) == col(StepRow.run))
        # Not as parameters: with those, SQLite could not tell that the index holds them all.
        .where(text(OPEN_GATE_HERE))
        # An expression, that it does not begin with the Runs that go on: that may be all there are.
        .where((col(RunRow.state) + "").in_(MOVING), RunRow.is_imported == False)  # noqa: E712 SQL
        .where(col(StepRow.gate_json).is_not(None))
        .order_by(*order)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(*order) > (after.since, after.run, after.position))
    if repos is not None:
        query = query.where(col(RunRow.repo).in_(repos))
    with Session(model.engine) as session:
        return session.exec(query).all()
