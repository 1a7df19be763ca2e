"""NatsTimetables: the schedules of every Repo on SCHEDULES and ALARMS. Implements Timetables."""

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import structlog

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import MESSAGE_ID, Bus, Stored, expected
from ci_host.adapters.nats.consumer import ConsumerRule, Delivered, NatsQueue
from pipelines.schedule import Alarm, Ring, RunNow, Timetable

CONSUMER = "scheduler"

log = structlog.get_logger()

_TABLE = msgspec.json.Decoder(Timetable)
_RING: msgspec.json.Decoder[Ring] = msgspec.json.Decoder(Ring)


@dataclass(frozen=True, slots=True)
class Page:
    """Some Timetables; `next` is what to ask for the following ones after, None: that was all."""

    tables: list[Timetable]
    next: int | None


class NatsTimetables:
    """See Timetables. An empty Timetable is a small record that stays."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def read(self, repo: str) -> tuple[int, Timetable]:
        stored = await self._bus.last(subjects.SCHEDULES, subjects.schedules(repo))
        if stored is None:
            return 0, Timetable(repo=repo)
        return stored.sequence, _TABLE.decode(stored.body)

    async def write(self, table: Timetable, *, after: int) -> int:
        subject = subjects.schedules(table.repo)
        ack = await self._bus.publish(subject, msgspec.json.encode(table), expected(after))
        return ack.seq

    async def arm(self, repo: str, due: float) -> None:
        # No Msg-Id, as for the timers of Runs: one that rang is armed again.
        headers = {
            "Nats-Schedule": f"@at {datetime.fromtimestamp(due, UTC).isoformat()}",
            "Nats-Schedule-Target": subjects.rung(repo),
        }
        body = msgspec.json.encode(Alarm(repo=repo, due=due))
        await self._bus.publish(subjects.alarm(repo), body, headers)

    async def disarm(self, repo: str) -> None:
        await self._bus.purge(subjects.ALARMS, subjects.alarm(repo))

    async def ask(self, wish: RunNow) -> None:
        # The id is a saving; beyond its window the same key asks for the same Run.
        # A digest: a header loses what surrounds a person's key, and two would be one.
        key = {MESSAGE_ID: subjects.token(f"{wish.repo} {wish.key}")}
        await self._bus.publish(subjects.rung(wish.repo), msgspec.json.encode(wish), key)

    async def now(self) -> float:
        return await self._bus.time(subjects.ALARMS)

    async def page(self, after: int, at_most: int) -> Page:
        """Timetables that have schedules, least recently changed first."""
        found, is_more = await self._bus.page(subjects.SCHEDULES, "schedule.*", after, at_most)
        following = found[-1].sequence if found and is_more else None
        return Page([table for one in found if (table := _listed(one)).entries], following)


def _listed(stored: Stored) -> Timetable:
    """One without sense is left out of a list."""
    try:
        return _TABLE.decode(stored.body)
    except msgspec.MsgspecError as error:
        log.error("undecodable", stream=subjects.SCHEDULES, reason=str(error))  # noqa: TRY400
        return Timetable(repo="")


def rings(bus: Bus) -> NatsQueue[Ring]:
    """What rings, as an engine takes it."""
    rule = ConsumerRule(subjects.ALARMS, CONSUMER, ("rung.>",))
    return NatsQueue(bus, rule, _ring)


def _ring(got: Delivered) -> Ring:
    return _RING.decode(got.body)
