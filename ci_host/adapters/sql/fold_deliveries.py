"""Fold of Deliveries and of what became of them: rows that no Run's rows need.

They come in floods, so nothing is looked up before, and a batch is written by one statement.
Either may come first: each is a whole row, of which the later one changes its own columns only.
"""

from types import MappingProxyType

import msgspec

from ci_host.adapters.sql.rows import Rows
from ci_host.adapters.sql.tables import DeliveryRow
from pipelines.repo import Delivery, DeliveryOutcome

UNKNOWN = MappingProxyType({"event": "", "state": "received", "reason": "", "runs_json": "[]"})


def fold_delivery(rows: Rows, delivery: Delivery) -> None:
    """A webhook call was recorded."""
    told = {"event": delivery.event, "received_at": delivery.received_at}
    identity = {"connection": delivery.connection, "id": delivery.id}
    rows.put(DeliveryRow, {**identity, **UNKNOWN, **told}, changed=tuple(told))


def fold_outcome(rows: Rows, outcome: DeliveryOutcome) -> None:
    """It is known what became of a Delivery."""
    told = {
        "state": outcome.state,
        "reason": outcome.reason,
        "runs_json": msgspec.json.encode(outcome.runs).decode(),
    }
    identity = {"connection": outcome.connection, "id": outcome.id}
    row = {**identity, **UNKNOWN, "received_at": outcome.at, **told}
    rows.put(DeliveryRow, row, changed=tuple(told))
