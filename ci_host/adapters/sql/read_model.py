"""ReadModel: the SQL database, its cursors, and batches of messages folded in one transaction.

A crash between two batches repeats nothing: the cursor is written with what it led to.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session, SQLModel, create_engine

from ci_host.adapters.sql.rows import Rows
from ci_host.adapters.sql.tables import VERSION, CursorRow

# The database's own trouble: no space, no connection, a lock that is not given. It passes.
PASSING = (OperationalError, InterfaceError)

# A few messages look up less than what reading ahead would.
AHEAD_FROM = 4

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Change:
    """One message of a stream, ready to be folded, and the Run that it is about."""

    sequence: int
    fold: Callable[[Rows], None]
    run: str = ""


class ReadModel:
    """Open with a SQLAlchemy URL; `sqlite:///…` is the embedded one. Blocking: use threads."""

    def __init__(self, url: str) -> None:
        self._writing = threading.Lock()
        # One more when a change begins, and one more when it is over.
        self._changes = 0
        self.engine: Engine = create_engine(url, connect_args=_arguments(url))
        if url.startswith("sqlite"):
            event.listen(self.engine, "connect", _tune_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        with self.engine.begin() as connection:
            if url.startswith("sqlite") and _version(connection) not in (0, VERSION):
                SQLModel.metadata.drop_all(connection)
            SQLModel.metadata.create_all(connection)
            if url.startswith("sqlite"):
                connection.execute(text(f"PRAGMA user_version = {VERSION}"))

    def apply(self, stream: str, changes: Sequence[Change]) -> int:
        """Fold the changes that are new, in order; answers how far the stream is folded now.

        One that cannot be folded is told in the log and left out: it would stop all that follow it.
        Raises SQLAlchemyError when the database is in trouble; then nothing was folded.
        """
        with self._change():
            try:
                return self._fold(stream, changes)
            except PASSING:
                raise
            except Exception as error:  # noqa: BLE001 - the edge to what others have stored
                log.warning("folding_one_by_one", stream=stream, reason=repr(error))
                return max([self._fold_or_leave_out(stream, change) for change in changes])

    def _fold_or_leave_out(self, stream: str, change: Change) -> int:
        try:
            return self._fold(stream, [change])
        except PASSING:
            raise
        except Exception:
            log.exception("left_out_of_the_read_model", stream=stream, sequence=change.sequence)
            return self._fold(stream, [Change(change.sequence, lambda _rows: None)])

    def _fold(self, stream: str, changes: Sequence[Change]) -> int:
        """All of them in one transaction, or none."""
        with Session(self.engine) as session:
            rows = Rows(session)
            cursor = session.get(CursorRow, stream) or CursorRow(stream=stream)
            if len(changes) >= AHEAD_FROM:
                rows.read_ahead(change.run for change in changes if change.run)
            for change in changes:
                if change.sequence > cursor.sequence:
                    change.fold(rows)
                    cursor.sequence = change.sequence
            rows.write()
            session.add(cursor)
            reached = cursor.sequence
            session.commit()
            return reached

    @property
    def state(self) -> int | None:
        """As long as it is the same number, everything that is read here is the same; None: it is
        being changed at this moment. Of this process alone: it is the only one that writes."""
        changes = self._changes
        return None if changes % 2 else changes

    @contextmanager
    def _change(self) -> Iterator[None]:
        # Streams are folded side by side and meet in the same rows: one writer at a time.
        with self._writing:
            self._changes += 1
            try:
                yield
            finally:
                self._changes += 1

    def cursor(self, stream: str) -> int:
        """How far a stream is folded."""
        with Session(self.engine) as session:
            row = session.get(CursorRow, stream)
            return 0 if row is None else row.sequence

    def clear(self) -> None:
        """Throw everything away, to be folded anew."""
        with self._change(), self.engine.begin() as connection:
            SQLModel.metadata.drop_all(connection)
            SQLModel.metadata.create_all(connection)

    def close(self) -> None:
        """Let go of the file."""
        self.engine.dispose()


def _arguments(url: str) -> dict[str, object]:
    return {"check_same_thread": False} if url.startswith("sqlite") else {}


def _tune_sqlite(connection: object, _record: object) -> None:
    # The driver begins a transaction with the first write only: two reads would see two moments.
    # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA journal_mode = WAL")
    # A power loss may cost the last changes; the cursor goes back with them, so they come again.
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA busy_timeout = 5000")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _version(connection: object) -> int:
    return int(connection.execute(text("PRAGMA user_version")).scalar())  # type: ignore[attr-defined]
