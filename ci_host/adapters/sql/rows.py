"""Rows: what one batch of messages is about, each row looked up once. Its meaning is in `fold.py`.

A batch is about few Runs, and most of its rows are new. An ordinary session writes what is pending
before each look-up, and looks again for what it did not find; this remembers both.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import class_mapper, object_mapper
from sqlmodel import Session, SQLModel, col, select

from ci_host.adapters.sql.tables import RunRow, StepRow

Row = TypeVar("Row", bound=SQLModel)

# Both databases have the words, and SQLAlchemy no common form of them.
UPSERTS: Mapping[str, Callable[[type[SQLModel]], sqlite.Insert | postgresql.Insert]] = (
    MappingProxyType({"sqlite": sqlite.insert, "postgresql": postgresql.insert})
)


class Rows:
    """For one transaction of the only writer: nobody else changes a row while it lasts."""

    def __init__(self, session: Session) -> None:
        self._session = session
        # By table and primary key; None where one was looked for in vain.
        self._known: dict[tuple[type[SQLModel], tuple[object, ...]], SQLModel | None] = {}
        # The Steps that are not over, of each Run that was read ahead.
        self._open: dict[str, dict[str, StepRow]] = {}
        # What is put without a look at what is there, by table and the columns that it changes.
        self._put: dict[tuple[type[SQLModel], tuple[str, ...]], list[Mapping[str, object]]] = {}

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

    def put(
        self, table: type[SQLModel], row: Mapping[str, object], changed: tuple[str, ...]
    ) -> None:
        """A whole row, of which only `changed` is written where there is one of this key."""
        self._put.setdefault((table, changed), []).append(row)

    def write(self) -> None:
        """Send what was put, in order: one statement for all that change the same columns."""
        for (table, changed), rows in self._put.items():
            put = UPSERTS[self._session.get_bind().dialect.name](table)
            keys = [column.name for column in class_mapper(table).primary_key]
            new = {name: put.excluded[name] for name in changed}
            put = put.on_conflict_do_update(index_elements=keys, set_=new)
            self._session.connection().execute(put, rows)
        self._put.clear()

    def open_steps(self, run: str) -> list[StepRow]:
        """The Steps of a Run that are not over."""
        if run not in self._open:
            self._session.flush()
            self.read_ahead([run])
        return [step for step in self._open[run].values() if step.finished_at is None]
