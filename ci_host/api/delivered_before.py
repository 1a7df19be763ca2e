"""Delivered before: whether a start by hand is the one that was recorded under its key.

A repeated one has the answer of the first, whoever asks; another is refused.
"""

import msgspec

from ci_host.engine.asked_again import check_same
from pipelines.repo import Delivery
from webhooks.manual import ManualStart


def is_start_in(kept: Delivery, external_id: str) -> bool:
    """Whether it is a start in this repository of its Connection."""
    asked = _read(kept)
    return asked.external_id == external_id and asked.fork is None


def check_delivered(key: str, kept: Delivery | None, now: Delivery) -> None:
    """Raises KeyTaken. One that is kept no longer cannot be compared."""
    if kept is not None:
        check_same(key, _asked(_read(kept)), _asked(_read(now)))


def _read(delivery: Delivery) -> ManualStart:
    return msgspec.json.decode(delivery.body, type=ManualStart)


def _asked(start: ManualStart) -> dict[str, object]:
    """By the names that its sender knows."""
    event = start.event
    return {
        "repo": start.external_id,
        "commit": event.commit,
        "ref": event.ref,
        "event": msgspec.structs.replace(event, commit="", ref="", sender=""),
        "pipeline": start.pipeline,
        "inputs": start.inputs,
        "from_step": None if start.fork is None else start.fork.from_step,
        "priority": start.priority,
        "wait_s": None if start.wait is None else start.wait.seconds,
        "supposed": start.supposed,
    }
