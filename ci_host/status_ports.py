"""Ports of Statuses: the outbox in which they wait for their Forges, and those that none took."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pipelines.status import Status


class Untold(msgspec.Struct, frozen=True, kw_only=True):
    """A Status that its Forge did not take, the newest of its place. Kept as JSON.

    `status`: without its summary and annotations, which the outbox has. `reason`: what the Forge
    said. `since`: when it was first told in vain, in seconds since the epoch. `may_pass`: the Forge
    broke on it and may have recovered; else somebody has to do what `reason` says.
    """

    status: Status
    reason: str
    since: float
    may_pass: bool = False


class StatusOutbox(Protocol):
    """Statuses on their way to a Forge. Any method may raise Unavailable."""

    async def put(self, status: Status) -> None:
        """Durable; the same id a second time changes nothing."""

    async def find(self, status: Status) -> Status | None:
        """The one of this id, as it was put; None: it is not known any more."""

    async def newest_of(self, place: Status) -> str | None:
        """The id of the one of the same place (`Status.place`) that was put last, not counting what
        is told again; None: this one was put before places were known."""


class UntoldStatuses(Protocol):
    """What no Forge took, one of each place. Durable when a call returns, for 30 days. Any method
    may raise Unavailable."""

    async def keep(self, untold: Untold) -> None:
        """In the place of an older one."""

    async def find(self, place: Status) -> Untold | None:
        """The one of this Status's place."""

    async def forget(self, place: Status) -> None:
        """The place has been told of. No error if nothing was kept of it."""

    async def all(self) -> Sequence[Untold]:
        """Of every Connection, the oldest first."""
