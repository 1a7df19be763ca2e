"""Reading: rows of the read model for whoever changes nothing: their columns by name, and no more.

A mapped object costs three times the row that it is made of, and a statement that is put together
anew for each question more than its answer. So the questions that are asked often are statements
made once, with places for what differs (`bindparam`), and their answers are plain rows.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Row
from sqlmodel import SQLModel
from sqlmodel.sql.expression import SelectOfScalar

from ci_host.adapters.sql.read_model import ReadModel

Kind = TypeVar("Kind", bound=SQLModel)


@contextmanager
def moment(model: ReadModel) -> Iterator[Connection]:
    """All that is read here is of one moment."""
    with model.engine.connect() as connection:
        yield connection


def rows(connection: Connection, asked: SelectOfScalar[Kind], **given: object) -> Sequence[Kind]:
    """The answer, `given` being what the statement has places for.

    To whoever reads, a row is as good as an object of its table: it has the same names. What an
    object can do besides, a row cannot: it has no `model_dump` (see `columns`), and is not written.
    """
    return cast("Sequence[Kind]", connection.execute(asked, given).all())


def columns(table: type[Kind], *, but: Collection[str] = ()) -> Callable[[Kind], dict[str, Any]]:
    """What makes of a row a dict of its columns, without some of them."""
    names = [name for name in table.model_fields if name not in but]
    values = itemgetter(*names)

    def made(row: Kind) -> dict[str, Any]:
        # Not its attributes: those are looked for in the class first, which takes longer.
        return dict(zip(names, values(cast("Row[Any]", row)._mapping), strict=True))

    return made
