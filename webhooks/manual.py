"""Manual: a person's start in the form of a Delivery, so that it goes the way of all others.

Never comes from outside: the webhook routes know no such event name; the host records it itself.
"""

import hashlib
from typing import Any

import msgspec

from pipelines.event import Event, EventKind
from pipelines.events import Fork
from pipelines.priority import Priority
from pipelines.repo import Connection, Delivery
from pipelines.shell import Wait
from pipelines.supposed import Supposed
from webhooks.errors import Malformed
from webhooks.forge import ParsedEvent

MANUAL_EVENT = "staunch.manual"


class ManualStart(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be started: the repository as its forge knows it, the event, and the pipeline.

    The event is a manual one, except where somebody tries another out on their own machine.

    `inputs` as they were given: whether they fit is decided by whoever has the pipeline. `fork`: it
    is made from a Run that is over. `priority` None: nobody said another. `wait`, `supposed`: as a
    RunStarted.
    """

    external_id: str
    name: str
    event: Event
    pipeline: str
    inputs: dict[str, Any] = {}
    fork: Fork | None = None
    priority: Priority | None = None
    wait: Wait | None = None
    supposed: Supposed | None = None


def manual_delivery(connection: Connection, asked: ManualStart, id_: str, now: float) -> Delivery:
    """A start on its way. The same id twice is one. Raises UnicodeEncodeError: it is no text."""
    return Delivery(
        connection=connection.id,
        id=id_,
        kind=connection.kind,
        event=MANUAL_EVENT,
        received_at=now,
        body=msgspec.json.encode(asked).decode(),
    )


def manual_id(key: str) -> str:
    """The id of a start that has this key of all starts of its Connection."""
    return f"manual-{key}"


def start_id(external_id: str, key: str) -> str:
    """The id of the start that somebody gave this key, which is of one repository alone."""
    return manual_id(f"{hashlib.sha256(external_id.encode()).hexdigest()[:16]}-{key}")


def parse_manual(delivery: Delivery) -> list[ParsedEvent]:
    """The one event of a manual start. Raises Malformed."""
    try:
        start = msgspec.json.decode(delivery.body, type=ManualStart)
    except msgspec.MsgspecError as error:
        raise Malformed(f"a manual start cannot be read: {error}") from error
    event = msgspec.structs.replace(start.event, delivery=delivery.id)
    return [
        ParsedEvent(
            start.external_id,
            start.name,
            event,
            start.pipeline,
            start.inputs,
            start.fork,
            start.priority,
            start.wait,
            supposed=start.supposed,
            is_tried=event.kind is not EventKind.MANUAL,
        )
    ]
