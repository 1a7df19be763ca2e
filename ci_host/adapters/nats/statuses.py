"""Statuses on JetStream: the outbox, in which they wait for their Forges, and what none took."""

from collections.abc import Callable, Sequence

import msgspec
import structlog

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import MESSAGE_ID, Bus, Stored
from ci_host.adapters.nats.claims import Claims
from ci_host.adapters.nats.consumer import ConsumerRule, Delivered, NatsQueue
from ci_host.ports import Damaged
from ci_host.status_ports import Untold
from pipelines.status import Status

_STATUS = msgspec.json.Decoder(Status)
_UNTOLD = msgspec.json.Decoder(Untold)

# What a Repo of this id is called, which was called so.
NameOf = Callable[[str, str], str]

log = structlog.get_logger()


class NatsStatusOutbox:
    """See StatusOutbox."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def put(self, status: Status) -> None:
        await self._bus.put_once(
            _subject_of(status), msgspec.json.encode(status), {MESSAGE_ID: status.id}
        )

    async def find(self, status: Status) -> Status | None:
        subject = _subject_of(status)
        stored = await self._bus.last(subjects.STATUSES, subject)
        if stored is None:
            return None
        try:
            body = await Claims(self._bus).body_of(subject, stored.sequence, stored.body)
            return _STATUS.decode(body)
        except (Damaged, msgspec.MsgspecError) as error:
            log.warning("status_not_read", subject=subject, reason=str(error))
            return None

    async def newest_of(self, place: Status) -> str | None:
        if await self._bus.last(subjects.STATUSES, _subject_of(place)) is None:
            return None
        pattern = subjects.status(place.connection, place.place, "*")
        stored = await self._bus.last_of(subjects.STATUSES, pattern)
        # Its body may be elsewhere; its name is in its subject.
        return None if stored is None else stored.subject.rpartition(".")[2]


def _subject_of(status: Status) -> str:
    # What is told again is not newer for it.
    place = f"{status.place}-again" if status.again_of else status.place
    return subjects.status(status.connection, place, status.id)


def outbox_rule(connection: str) -> ConsumerRule:
    """The outbox of one Connection, as the one who tells its Forge reads it."""
    return ConsumerRule(
        subjects.STATUSES,
        f"forge-{connection}",
        (f"status.{connection}.>",),
        # One at a time: what waits for its turn again keeps the next from overtaking it.
        in_flight_max=1,
    )


def outbox_of(bus: Bus, connection: str, name_of: NameOf) -> NatsQueue[Status]:
    """What is owed to one Connection, under the names that its Repos have when it is told."""

    def decoded(got: Delivered) -> Status:
        status = _STATUS.decode(got.body)
        name = name_of(f"{status.connection}/{status.repo}", status.repo_name)
        return msgspec.structs.replace(status, repo_name=name)

    return NatsQueue(bus, outbox_rule(connection), decoded)


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
        return None if stored is None else _decoded(stored)

    async def forget(self, place: Status) -> None:
        if await self.find(place) is not None:
            await self._bus.publish(subjects.untold(place.connection, place.place), b"")

    async def all(self) -> Sequence[Untold]:
        found = await self._bus.read(subjects.UNTOLD, "untold.>")
        kept = [one for stored in found if (one := _decoded(stored)) is not None]
        return sorted(kept, key=lambda one: (one.since, one.status.at))


def _decoded(stored: Stored) -> Untold | None:
    """None: it has been told of, or is of a newer Staunch."""
    try:
        return _UNTOLD.decode(stored.body) if stored.body else None
    except msgspec.MsgspecError as error:
        log.warning("untold_not_read", subject=stored.subject, reason=str(error))
        return None
