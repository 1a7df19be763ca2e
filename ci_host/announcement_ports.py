"""Ports of what programs outside are told: where it is kept, and who sends it."""

from collections.abc import Sequence
from typing import Protocol

from pipelines.announcement import Announcement, Subscription
from webhooks.forge import Gone, Refused, SendLater, Sent


class Announcements(Protocol):
    """Kept for 30 days, in one order, each once."""

    async def put(self, one: Announcement) -> None:
        """Durable when it returns; the same once more changes nothing. Raises Unavailable."""

    async def newest(self) -> int:
        """The place of the newest; 0: there was none. Raises Unavailable."""

    async def page(
        self, after: int, at_most: int, repos: Sequence[str] | None
    ) -> list[tuple[int, Announcement]]:
        """The next ones behind a place, each with its own. `repos`: of these alone; None: of all.

        Raises Unavailable.
        """


class AnnouncementSender(Protocol):
    """One try; every outcome is a record."""

    async def send(
        self, subscription: Subscription, one: Announcement, *, attempt: int
    ) -> Sent | SendLater | Refused | Gone:
        """`attempt` counts from 1, and only decides how long to wait."""
