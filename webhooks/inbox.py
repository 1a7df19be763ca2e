"""Inbox: the port into which verified calls are put before their sender is told 202.

What becomes of a Delivery is decided later, by somebody else.
"""

from enum import StrEnum
from typing import Protocol

from pipelines.repo import Delivery


class Recorded(StrEnum):
    RECORDED = "recorded"
    DUPLICATE = "duplicate"


class Inbox(Protocol):
    """Keeps each Delivery once, keyed by (connection, id).

    The first body to arrive under a key is kept; later ones are `duplicate` and change nothing.
    Of two calls at the same time exactly one is `recorded`.
    """

    async def record(self, delivery: Delivery) -> Recorded:
        """Durable before it returns. Raises InboxUnavailable where that cannot be promised."""

    async def count(self) -> int:
        """How many were ever recorded. Raises InboxUnavailable."""
