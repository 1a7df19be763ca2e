"""Open Attempts in the read model: jobs that wait for a Runner or are with one. Blocking."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlmodel import Session, col, select

from ci_host.adapters.sql.read_model import ReadModel
from ci_host.adapters.sql.tables import OPEN_ATTEMPT, AttemptRow, RunRow
from pipelines.run import FINAL

# The oldest of them are listed.
OPEN_ATTEMPTS_MAX = 500


def open_attempts(model: ReadModel) -> Sequence[tuple[AttemptRow, RunRow]]:
    """Those that were asked for first come first. What a Run that is over had asked for is over."""
    query = (
        select(AttemptRow, RunRow)
        .join(RunRow, col(RunRow.id) == col(AttemptRow.run))
        .where(text(f"attempts.{OPEN_ATTEMPT}"))
        # As an expression, see `open_gates.py`.
        .where((col(RunRow.state) + "").not_in([str(state) for state in FINAL]))
        .where(RunRow.is_imported == False)  # noqa: E712 SQL
        .order_by(col(AttemptRow.queued_at), col(AttemptRow.job))
        .limit(OPEN_ATTEMPTS_MAX)
    )
    with Session(model.engine) as session:
        return session.exec(query).all()
