"""Continuation: how a Run hands itself on to its successor: the same code, begun anew.

A Run that continues as new is over. What its successor needs of it stands in its last Turn and then
in the successor's first input, so that the one depends on the other's History for nothing.
"""

from typing import Any

import msgspec

from pipelines.commands import OpenGroup


class KeptSignal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Signal that no Step has taken yet; its identity goes with it."""

    id: str
    name: str
    payload: Any = None
    by: str = ""


class Continuation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the plan hands on: the successor's `inputs`, and the Signals that nobody has taken."""

    inputs: Any = None
    signals: list[KeptSignal] = []


class Continues(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """This Run goes on from `of`; `number` is how many came before it, `first` the first of them.

    `group` is held already. `at_once`: how many of those just before it waited for nothing.
    `causes`: who caused them, besides those whom the event names.
    """

    of: str
    first: str
    number: int
    at_once: int = 0
    group: OpenGroup | None = None
    signals: list[KeptSignal] = []
    causes: list[str] = []
