"""NatsLine: offers on OFFERS, what was released of them on JOBS. Implements JobLine.

Acknowledgements of Runners are heard in passing, since they are ordinary messages; what was missed,
and whether somebody else releases jobs, is found by looking at JOBS now and then.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import LASTS_MAX, MESSAGE_ID, ApiError, Bus, Refused
from ci_host.adapters.nats.consumer import Consumer, ConsumerRule, Delivered
from ci_host.adapters.nats.sweep import sweep
from ci_host.adapters.nats.tickets import for_pool, ticket_of
from ci_host.line_ports import (
    TAKEN_BACK,
    EnvironmentRule,
    JobLimit,
    Left,
    Limited,
    News,
    Offered,
    PoolRule,
    Ruled,
    Slots,
    Ticket,
    Unwanted,
)
from ci_host.ports import Conflict, Unavailable
from pipelines.ids import JobId
from pipelines.job import HOST, CancelJob, Lease

# Where an acknowledgement is sent to, in both forms (see `delivered_of`).
ACKS = (f"$JS.ACK.{subjects.JOBS}.>", f"$JS.ACK.*.*.{subjects.JOBS}.>")
SETTLED = (b"+ACK", b"+TERM", b"")
EXPECTED_LAST = "Nats-Expected-Last-Sequence"
LOOK_S = 0.5
SILENT_S = 90.0
READER_KEPT_S = 30.0
CANCEL_AGAIN_S = 0.1

log = structlog.get_logger()


class _Beat(msgspec.Struct, frozen=True):
    """What is needed here of a Runner's sign of life."""

    runner: str
    pools: list[str]
    slots: int


class _StreamState(msgspec.Struct, frozen=True):
    messages: int = 0
    last_seq: int = 0


class _StreamInfo(msgspec.Struct, frozen=True):
    state: _StreamState = _StreamState()
    error: ApiError | None = None


class NatsLine:
    """See JobLine."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    @asynccontextmanager
    async def open(self) -> AsyncIterator["NatsOpenLine"]:
        opened = NatsOpenLine(self._bus)
        async with AsyncExitStack() as stack:
            try:
                await opened.start(stack)
            except (NatsError, JetStreamError) as error:
                raise Unavailable(f"the jobs cannot be read: {error!r}") from error
            yield opened


class NatsOpenLine:
    """See OpenLine. What comes is put into one queue; None of it is read before it is asked for."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._news: asyncio.Queue[News | Exception] = asyncio.Queue()
        self.offers: list[Ticket] = []
        self.released: list[Ticket] = []
        self.unwanted: list[Unwanted] = []
        self.limits: list[JobLimit] = []
        self.rules: list[PoolRule] = []
        self.environments: list[EnvironmentRule] = []
        self._beats: dict[str, tuple[float, _Beat]] = {}
        # JOBS as it is known: its last sequence, and what is there.
        self._last = 0
        self._there: set[int] = set()
        self._releasing = asyncio.Lock()

    async def start(self, stack: AsyncExitStack) -> None:
        """Hear first, then read: nothing happens between the two unheard."""
        await self._hear(stack)
        await self._read_released()
        through = await self._read_offers()
        await self._read_leases()
        await self._read_cancels()
        for stored in await self._bus.read(subjects.RUNNERS, "runner.*"):
            self._take_beat(stored.body)
        found = await self._bus.read(subjects.CONFIG, "config.limit.*")
        self.limits = [msgspec.json.decode(one.body, type=JobLimit) for one in found]
        found = await self._bus.read(subjects.CONFIG, "config.pool.*")
        self.rules = [msgspec.json.decode(one.body, type=PoolRule) for one in found]
        found = await self._bus.read(subjects.CONFIG, "config.environment.*")
        self.environments = [msgspec.json.decode(one.body, type=EnvironmentRule) for one in found]
        for task in (self._follow_offers(through), self._look()):
            running = asyncio.create_task(self._told(task))
            stack.push_async_callback(_ended, running)

    @property
    def slots(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for _, beat in self._beats.values():
            for pool in beat.pools:
                found[pool] = found.get(pool, 0) + beat.slots
        return found

    async def __aiter__(self) -> AsyncIterator[News]:
        while True:
            news = await self._news.get()
            if isinstance(news, Exception):
                raise news
            yield news

    # -- what is done

    async def release(self, offer: Ticket) -> Ticket:
        stored = await self._bus.at(subjects.OFFERS, offer.place)
        if stored is None:
            raise Conflict(f"the offer of {offer.job} is gone")
        subject = subjects.job_queue(offer.pool, offer.level)
        async with self._releasing:
            headers = {MESSAGE_ID: offer.job, EXPECTED_LAST: str(self._last)}
            try:
                ack = await self._bus.publish(subject, for_pool(stored.body, offer), headers)
            except Refused as error:
                raise Unavailable(str(error)) from error
            if not ack.duplicate:
                self._last = ack.seq
            self._there.add(ack.seq)
        return replace(offer, place=ack.seq)

    async def remove(self, offer: Ticket) -> None:
        await self._delete(subjects.OFFERS, offer.place)

    async def withdraw(self, ticket: Ticket) -> bool:
        subject = subjects.lease(ticket.job)
        claim = Lease(job=ticket.job, key=ticket.key, runner=HOST, started_at=0.0)
        if await self._bus.put_once(subject, msgspec.json.encode(claim)):
            return True
        stored = await self._bus.newest(subjects.LEASES, subject)
        return stored is not None and msgspec.json.decode(stored.body, type=Lease).runner == HOST

    async def take_off(self, released: Ticket) -> None:
        await self._delete(subjects.JOBS, released.place)
        self._there.discard(released.place)

    async def _delete(self, stream: str, sequence: int) -> None:
        wish = {"seq": sequence, "no_erase": True}
        await self._bus.request(f"$JS.API.STREAM.MSG.DELETE.{stream}", msgspec.json.encode(wish))

    # -- what is heard

    async def _hear(self, stack: AsyncExitStack) -> None:
        heard: dict[str, Callable[[Msg], None]] = {
            "cancel.>": self._on_cancel,
            "runner.*": self._on_beat,
            "config.limit.*": self._on_limit,
            "config.pool.*": self._on_rule,
            "config.environment.*": self._on_environment,
            **dict.fromkeys(ACKS, self._on_ack),
        }
        for subject, call in heard.items():

            async def on_message(message: Msg, call: Callable[[Msg], None] = call) -> None:
                with suppress(msgspec.MsgspecError):
                    call(message)

            subscription = await self._bus.client.subscribe(subject, cb=on_message)
            stack.push_async_callback(_unsubscribed, subscription.unsubscribe)
        lost = Unavailable("the connection was lost, and with it what happened meanwhile")
        stack.callback(self._bus.on_reconnect(lambda: self._news.put_nowait(lost)))

    def _on_ack(self, message: Msg) -> None:
        if message.data not in SETTLED:
            return
        parts = message.subject.split(".")
        # See `delivered_of`: the sequence is two behind the consumer's name.
        self._leave(int(parts[parts.index(subjects.JOBS, 2) + 3]))

    def _leave(self, place: int) -> None:
        if place in self._there:
            self._there.discard(place)
            self._news.put_nowait(Left(place))

    def _on_cancel(self, message: Msg) -> None:
        wish = msgspec.json.decode(message.data, type=CancelJob)
        self._news.put_nowait(Unwanted(JobId(wish.job), wish.reason))

    def _on_limit(self, message: Msg) -> None:
        self._news.put_nowait(Limited(msgspec.json.decode(message.data, type=JobLimit)))

    def _on_rule(self, message: Msg) -> None:
        self._news.put_nowait(Ruled(msgspec.json.decode(message.data, type=PoolRule)))

    def _on_environment(self, message: Msg) -> None:
        self._news.put_nowait(Ruled(msgspec.json.decode(message.data, type=EnvironmentRule)))

    def _on_beat(self, message: Msg) -> None:
        before = self.slots
        self._take_beat(message.data)
        self._tell_slots(before)

    def _take_beat(self, body: bytes) -> None:
        with suppress(msgspec.MsgspecError):
            beat = msgspec.json.decode(body, type=_Beat)
            self._beats[beat.runner] = (time.monotonic(), beat)

    def _tell_slots(self, before: Mapping[str, int]) -> None:
        if (now := self.slots) != before:
            self._news.put_nowait(Slots(now))

    # -- what is read

    async def _read_released(self) -> None:
        self._last = (await self._state()).last_seq
        for stored in await self._bus.read(subjects.JOBS, "jobs.>"):
            self._there.add(stored.sequence)
            ticket = ticket_of(stored.body, stored.sequence)
            if ticket is not None:
                self.released.append(ticket)

    async def _read_offers(self) -> int:
        through = 0
        async for one in sweep(self._bus, subjects.OFFERS, "offer.>"):
            through = one.sequence
            ticket = await self._offer_of(one)
            if ticket is not None:
                self.offers.append(ticket)
        return through

    async def _offer_of(self, one: Delivered) -> Ticket | None:
        ticket = ticket_of(one.body, one.sequence)
        if ticket is None:
            # It can never become readable.
            await self._delete(subjects.OFFERS, one.sequence)
        return ticket

    async def _read_leases(self) -> None:
        """What a Runner has claimed was released, and is at work or over."""
        names = [subjects.lease(one.job) for one in self.offers]
        claimed = await self._lasts(subjects.LEASES, names)
        for one in list(self.offers):
            body = claimed.get(subjects.lease(one.job))
            if body is not None and msgspec.json.decode(body, type=Lease).runner != HOST:
                await self.remove(one)
                self.offers.remove(one)

    async def _read_cancels(self) -> None:
        jobs = {one.job: subjects.cancel(one.job) for one in (*self.offers, *self.released)}
        found = await self._lasts(subjects.CANCELS, list(jobs.values()))
        for job, subject in jobs.items():
            if subject in found:
                wish = msgspec.json.decode(found[subject], type=CancelJob)
                self.unwanted.append(Unwanted(job, wish.reason))
        known = {one.job for one in self.unwanted}
        names = [subjects.lease(job) for job in jobs if job not in known]
        leases = await self._lasts(subjects.LEASES, names)
        for body in leases.values():
            lease = msgspec.json.decode(body, type=Lease)
            if lease.runner == HOST:
                self.unwanted.append(Unwanted(JobId(lease.job), TAKEN_BACK))

    async def _lasts(self, stream: str, names: list[str]) -> dict[str, bytes]:
        """The newest message of each of these subjects, where there is one."""
        found: dict[str, bytes] = {}
        for at in range(0, len(names), LASTS_MAX):
            some = names[at : at + LASTS_MAX]
            found |= {one.subject: one.body for one in await self._bus.lasts(stream, some)}
        return found

    # -- beside

    async def _told(self, task: Awaitable[None]) -> None:
        try:
            await task
        except Exception as error:  # noqa: BLE001  whoever iterates hears of it
            known = isinstance(error, (Conflict, Unavailable))
            self._news.put_nowait(error if known else Unavailable(repr(error)))

    async def _follow_offers(self, through: int) -> None:
        name = f"dispatcher-{secrets.token_hex(6)}"
        rule = ConsumerRule(
            subjects.OFFERS, name, ("offer.>",), start_after=through, kept_s=READER_KEPT_S
        )
        consumer = Consumer(self._bus, rule)
        await consumer.ensure()
        async for delivered in consumer:
            ticket = await self._offer_of(delivered)
            if ticket is not None:
                self._news.put_nowait(Offered(ticket))
            await consumer.done(delivered)

    async def _look(self) -> None:
        """See that JOBS is as it is known here, and who of the Runners is silent."""
        while True:
            await asyncio.sleep(LOOK_S)
            before = self.slots
            silent = time.monotonic() - SILENT_S
            self._beats = {name: one for name, one in self._beats.items() if one[0] > silent}
            self._tell_slots(before)
            if self._there:
                await self._compare()

    async def _compare(self) -> None:
        async with self._releasing:
            state = await self._state()
            if state.last_seq != self._last:
                raise Conflict(f"JOBS is at {state.last_seq}, not {self._last}")
            if state.messages < len(self._there):
                for place in sorted(self._there):
                    if await self._bus.at(subjects.JOBS, place) is None:
                        self._leave(place)

    async def _state(self) -> _StreamState:
        answer = await self._bus.request(f"$JS.API.STREAM.INFO.{subjects.JOBS}")
        info = msgspec.json.decode(answer.data, type=_StreamInfo)
        if info.error is not None:
            raise Unavailable(f"{subjects.JOBS}: {info.error.description}")
        return info.state


async def _ended(task: asyncio.Task[None]) -> None:
    """Until it is: a wait of the client's that had just ended may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_AGAIN_S)


async def _unsubscribed(unsubscribe: Callable[[], Awaitable[None]]) -> None:
    with suppress(NatsError):
        await unsubscribe()
