"""NatsAudit: what people did, in order, on JetStream, for a year."""

from dataclasses import dataclass

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.audit import Deed


@dataclass(frozen=True, slots=True)
class Deeds:
    """Newest first; `following`: where the next, older page begins, if there may be one. `places`:
    where each of them is."""

    found: list[Deed]
    following: int | None
    places: list[int]


class NatsAudit:
    """Only ever added to."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def record(self, deed: Deed) -> None:
        """Durable when it returns. Raises Unavailable."""
        await self._bus.publish(subjects.DEED, msgspec.json.encode(deed))

    async def page(self, before: int | None, at_most: int) -> Deeds:
        """Those before a place, or the newest. Raises Unavailable."""
        if before is None:
            newest = await self._bus.last(subjects.AUDIT, subjects.DEED)
            before = 1 if newest is None else newest.sequence + 1
        after = max(0, before - 1 - at_most)
        stored, _ = await self._bus.page(subjects.AUDIT, subjects.DEED, after, at_most)
        # What was kept long enough is gone: the page begins with what is left, maybe beyond it.
        theirs = [one for one in stored if one.sequence < before]
        found = [msgspec.json.decode(one.body, type=Deed) for one in reversed(theirs)]
        places = [one.sequence for one in reversed(theirs)]
        return Deeds(found, places[-1] if places and after else None, places)
