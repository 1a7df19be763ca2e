"""Statuses on JetStream: the outbox, in which they wait for their Forges, and what none took."""

from collections.abc import Sequence

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import MESSAGE_ID, Bus
from ci_host.status_ports import Untold
from pipelines.status import Status

_UNTOLD = msgspec.json.Decoder(Untold)


class NatsStatusOutbox:
    """See StatusOutbox."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def put(self, status: Status) -> None:
        # What is told again is not newer for it.
        place = f"{status.place}-again" if status.again_of else status.place
        subject = subjects.status(status.connection, place, status.id)
        await self._bus.put_once(subject, msgspec.json.encode(status), {MESSAGE_ID: status.id})

    async def newest_of(self, place: Status) -> str | None:
        pattern = subjects.status(place.connection, place.place, "*")
        stored = await self._bus.last_of(subjects.STATUSES, pattern)
        # Its body may be elsewhere; its name is in its subject.
        return None if stored is None else stored.subject.rpartition(".")[2]


class NatsUntoldStatuses:
    """See UntoldStatuses. A place that has been told of is an empty message: what is removed could
    be there again after the server's death."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def keep(self, untold: Untold) -> None:
        subject = subjects.untold(untold.status.connection, untold.status.place)
        await self._bus.publish(subject, msgspec.json.encode(untold))

    async def find(self, place: Status) -> Untold | None:
        subject = subjects.untold(place.connection, place.place)
        stored = await self._bus.last(subjects.UNTOLD, subject)
        return None if stored is None or not stored.body else _UNTOLD.decode(stored.body)

    async def forget(self, place: Status) -> None:
        if await self.find(place) is not None:
            await self._bus.publish(subjects.untold(place.connection, place.place), b"")

    async def all(self) -> Sequence[Untold]:
        found = await self._bus.read(subjects.UNTOLD, "untold.>")
        kept = [_UNTOLD.decode(one.body) for one in found if one.body]
        return sorted(kept, key=lambda one: (one.since, one.status.at))
