"""Ports of what programs outside are told: where it is kept, and who sends it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipelines.announcement import Announcement, Subscription
from webhooks.forge import Gone, Refused, SendLater, Sent


@dataclass(frozen=True, slots=True)
class Told:
    """Announcements, each with its place; `through`: so far there are no others to be seen."""

    found: list[tuple[int, Announcement]]
    through: int


class Announcements(Protocol):
    """Kept for 30 days, in one order, each once."""

    async def put(self, one: Announcement) -> None:
        """Durable when it returns; the same once more changes nothing. Raises Unavailable."""

    async def newest(self) -> int:
        """The place of the newest; 0: there was none. Raises Unavailable."""

    async def page(self, after: int, at_most: int, repos: Sequence[str] | None) -> Told:
        """The next ones behind a place. `repos`: of these alone; None: of all.

        Raises Unavailable.
        """


class AnnouncementSender(Protocol):
    """One try; every outcome is a record."""

    async def send(
        self, subscription: Subscription, one: Announcement, *, attempt: int
    ) -> Sent | SendLater | Refused | Gone:
        """`attempt` counts from 1, and only decides how long to wait."""
