"""Starts of the host's processes in the read model: the newest of each role. Blocking."""

from collections.abc import Sequence

from sqlmodel import col, select

from ci_host.adapters.sql.read_model import ReadModel
from ci_host.adapters.sql.reading import moment, rows
from ci_host.adapters.sql.tables import ProcessStartRow

LOOKED_AT = 500


def newest_starts(model: ReadModel) -> Sequence[ProcessStartRow]:
    """By role; of several engines the one that began last."""
    query = select(ProcessStartRow).order_by(col(ProcessStartRow.at).desc()).limit(LOOKED_AT)
    found: dict[str, ProcessStartRow] = {}
    with moment(model) as connection:
        for row in rows(connection, query):
            found.setdefault(row.role, row)
    return [found[role] for role in sorted(found)]
