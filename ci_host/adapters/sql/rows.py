"""Rows: what one batch of messages is about, each row looked up once. Its meaning is in `fold.py`.

A batch is about few Runs, and most of its rows are new. An ordinary session writes what is pending
before each look-up, and looks again for what it did not find; this remembers both.
"""

from collections.abc import Iterable
from typing import TypeVar

from sqlalchemy.orm import object_mapper
from sqlmodel import Session, SQLModel, col, select

from ci_host.adapters.sql.tables import DeliveryRow, RunRow, StepRow

Row = TypeVar("Row", bound=SQLModel)


class Rows:
    """For one transaction of the only writer: nobody else changes a row while it lasts."""

    def __init__(self, session: Session) -> None:
        self._session = session
        # By table and primary key; None where one was looked for in vain.
        self._known: dict[tuple[type[SQLModel], tuple[object, ...]], SQLModel | None] = {}
        # The Steps that are not over, of each Run that was read ahead.
        self._open: dict[str, dict[str, StepRow]] = {}

    def read_ahead(self, runs: Iterable[str]) -> None:
        """Look up at once what a batch about these Runs will ask for. Before anything is added."""
        wanted = sorted(set(runs))
        if not wanted:
            return
        for run in wanted:
            self._known[RunRow, (run,)] = None
            self._open[run] = {}
        for row in self._session.exec(select(RunRow).where(col(RunRow.id).in_(wanted))):
            self._known[RunRow, (row.id,)] = row
        steps = select(StepRow).where(
            col(StepRow.run).in_(wanted), col(StepRow.finished_at).is_(None)
        )
        for step in self._session.exec(steps):
            self._known[StepRow, (step.run, step.key)] = step
            self._open[step.run][step.key] = step

    def read_deliveries_ahead(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Look up at once the Deliveries that a batch is about. Before anything is added."""
        ids: dict[str, list[str]] = {}
        for connection, delivery in wanted:
            self._known[DeliveryRow, (connection, delivery)] = None
            ids.setdefault(connection, []).append(delivery)
        for connection, found in ids.items():
            of_it = select(DeliveryRow).where(
                DeliveryRow.connection == connection, col(DeliveryRow.id).in_(found)
            )
            for row in self._session.exec(of_it):
                self._known[DeliveryRow, (row.connection, row.id)] = row

    def find(self, table: type[Row], *key: str | int) -> Row | None:
        """The row with this primary key, if there is one."""
        if (table, key) not in self._known:
            with self._session.no_autoflush:
                self._known[table, key] = self._session.get(table, key)
        found = self._known[table, key]
        assert found is None or isinstance(found, table)
        return found

    def add(self, row: SQLModel) -> None:
        """A row that is new or was changed."""
        self._session.add(row)
        self._known[type(row), tuple(object_mapper(row).primary_key_from_instance(row))] = row
        if isinstance(row, StepRow) and row.run in self._open:
            self._open[row.run][row.key] = row

    def open_steps(self, run: str) -> list[StepRow]:
        """The Steps of a Run that are not over."""
        if run not in self._open:
            self._session.flush()
            self.read_ahead([run])
        return [step for step in self._open[run].values() if step.finished_at is None]
