"""Consumer: a durable consumer read by a continuous pull, with acknowledgement by hand.

A batch is asked for ahead of need, so a message arrives as fast as it is stored, and nothing polls.
The wish dies with a server; it is made again as soon as the connection is back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from ci_host.adapters.nats.bus import ApiError, Bus, clock_of
from ci_host.adapters.nats.claims import Claims
from ci_host.ports import Damaged, Unavailable
from pipelines.codec import Undecodable

EXPIRES_S = 30
RETRY_S = 0.2
ENSURE_RETRY_S = 1.0
ACK_WAIT_S = 30.0

# Then what was handed out comes after the ack wait: later, and not never.
TAKE_BACKS_MAX = 100

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConsumerRule:
    """What a consumer sees, and how many messages may be on their way at once.

    Whatever a dead reader or a dead server still held is taken back when reading begins and after
    each reconnect, and not after the ack wait. If another reader of the same consumer lives, some
    messages come to both; that costs a look at the History and decides nothing.
    `start_after`: the reader keeps its own place; the consumer is made anew behind that sequence,
    and what is acknowledged is so with all before it.
    `begins_after`: where the consumer keeps the place, which one that is not there yet begins with.
    `kept_s`: it is gone when nobody has read of it for so long; None: it stays.
    """

    stream: str
    name: str
    subjects: tuple[str, ...]
    in_flight_max: int = 10_000
    batch: int = 256
    start_after: int | None = None
    begins_after: int = 0
    kept_s: float | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message handed out: owed until it is acknowledged. `times` counts from one; `at` is the
    stream's time for it, in seconds."""

    subject: str
    body: bytes
    sequence: int
    times: int
    at: float
    reply: str


def delivered_of(message: Msg) -> Delivered:
    """A message with its place, read from the acknowledgement subject, old form or new."""
    parts = message.reply.split(".")
    # $JS.ACK.<stream>.<consumer>.<times>.<stream seq>.<consumer seq>.<nanoseconds>.<pending>,
    # or the same with domain and account in front and a token behind.
    first = 4 if len(parts) == 9 else 6
    return Delivered(
        subject=message.subject,
        body=message.data,
        sequence=int(parts[first + 1]),
        times=int(parts[first]),
        at=clock_of(int(parts[first + 3])),
        reply=message.reply,
    )


class ResetAnswer(msgspec.Struct, frozen=True):
    """What the server says of a reset."""

    error: ApiError | None = None


class Consumer:
    """Iterate it; acknowledge each message with `done`, `later` or `extend`."""

    def __init__(self, bus: Bus, rule: ConsumerRule) -> None:
        self._bus = bus
        self._rule = rule

    async def ensure(self) -> None:
        """Create the durable consumer if it is missing; made anew it would lose its floor.

        A server that cannot now, because its disk is full, is waited for: others use this process.
        """
        while True:
            try:
                return await self._ensure()
            except NatsError as error:
                rule = self._rule
                reason = getattr(error, "description", None) or repr(error)
                log.warning("consumer_later", stream=rule.stream, name=rule.name, reason=reason)
                await asyncio.sleep(ENSURE_RETRY_S)

    async def _ensure(self) -> None:
        js, rule = self._bus.js, self._rule
        try:
            if rule.start_after is None:
                found = await js.consumer_info(rule.stream, rule.name)
                await self._widen(found.config)
                return
            await js.delete_consumer(rule.stream, rule.name)
        except NotFoundError:
            log.info("consumer_created", stream=rule.stream, name=rule.name)
        start = rule.start_after or rule.begins_after
        await js.add_consumer(
            rule.stream,
            ConsumerConfig(
                name=rule.name,
                durable_name=rule.name if rule.kept_s is None else None,
                inactive_threshold=rule.kept_s,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE if start else DeliverPolicy.ALL,
                opt_start_seq=start + 1 if start else None,
                ack_policy=AckPolicy.EXPLICIT if rule.start_after is None else AckPolicy.ALL,
                ack_wait=ACK_WAIT_S,
                max_deliver=-1,
                max_ack_pending=rule.in_flight_max,
                filter_subjects=list(rule.subjects),
            ),
        )

    async def _widen(self, found: ConsumerConfig) -> None:
        """A newer Staunch may read other subjects; what was acknowledged stays so."""
        wished = list(self._rule.subjects)
        if wished == (found.filter_subjects or [found.filter_subject or ""]):
            return
        found.filter_subject, found.filter_subjects = None, wished
        await self._bus.js.add_consumer(self._rule.stream, found)
        log.info("consumer_widened", stream=self._rule.stream, name=self._rule.name)

    async def __aiter__(self) -> AsyncIterator[Delivered]:
        arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        inbox = self._bus.client.new_inbox()

        async def on_message(message: Msg) -> None:
            arrived.put_nowait(message)

        subscription = await self._bus.client.subscribe(inbox, cb=on_message)
        # A wish dies with the server that held it: None ends the one that is out.
        forget = self._bus.on_reconnect(lambda: arrived.put_nowait(None))
        try:
            await self._take_back()
            while True:
                is_new_server = False
                async for message in self._one_wish(arrived, inbox):
                    if message is None:
                        is_new_server = True
                    else:
                        yield delivered_of(message)
                if is_new_server:
                    await self._take_back()
        finally:
            forget()
            await self._leave(subscription)

    async def _one_wish(
        self, arrived: "asyncio.Queue[Msg | None]", inbox: str
    ) -> AsyncIterator[Msg | None]:
        """Ask for a batch; end when it is used up, has expired, or (None) died with its server."""
        rule = self._rule
        wish = {"batch": rule.batch, "expires": EXPIRES_S * 1_000_000_000}
        try:
            await self._bus.client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{rule.stream}.{rule.name}",
                msgspec.json.encode(wish),
                reply=inbox,
            )
        except NatsError as error:
            log.warning("pull_failed", stream=rule.stream, error=repr(error))
            await asyncio.sleep(RETRY_S)
            return
        for _ in range(rule.batch):
            try:
                async with asyncio.timeout(EXPIRES_S + 5):
                    message = await arrived.get()
            except TimeoutError:
                return
            if message is None:
                yield None
                return
            if _is_end(message):
                return
            yield message

    async def _take_back(self) -> None:
        """Have everything above the acknowledged floor again, now and not after the ack wait."""
        subject = f"$JS.API.CONSUMER.RESET.{self._rule.stream}.{self._rule.name}"
        for _ in range(TAKE_BACKS_MAX):
            try:
                answer = await self._bus.request(subject, b"{}")
            except Unavailable as error:
                reason = str(error)
            else:
                said = msgspec.json.decode(answer.data, type=ResetAnswer)
                if said.error is None:
                    return
                reason = said.error.description
            # Not read on without it: what comes now would overtake what was handed out before.
            log.warning("take_back_failed", stream=self._rule.stream, error=reason)
            await asyncio.sleep(RETRY_S)

    async def _leave(self, subscription: Subscription) -> None:
        try:
            await subscription.unsubscribe()
        except NatsError as error:
            log.debug("unsubscribe_failed", error=repr(error))

    async def done(self, delivered: Delivered) -> None:
        """It need not come again."""
        await self._answer(delivered.reply, b"+ACK")

    async def later(self, delivered: Delivered, delay_s: float) -> None:
        """Bring it again after a while."""
        await self._answer(delivered.reply, b'-NAK {"delay": %d}' % int(delay_s * 1e9))

    async def extend(self, delivered: Delivered) -> None:
        """Still at it."""
        await self._answer(delivered.reply, b"+WPI")

    async def _answer(self, reply: str, body: bytes) -> None:
        try:
            await self._bus.client.publish(reply, body)
        except NatsError as error:
            # Only a saving is lost: it comes again, and whoever takes it finds nothing to do.
            log.debug("acknowledgement_lost", error=repr(error))


@dataclass(frozen=True, slots=True)
class OwedMessage(Generic[T]):
    """One decoded message of a NatsQueue. See Owed."""

    item: T
    delivered: Delivered
    consumer: Consumer

    @property
    def times(self) -> int:
        return self.delivered.times

    async def done(self) -> None:
        await self.consumer.done(self.delivered)

    async def later(self, delay_s: float) -> None:
        await self.consumer.later(self.delivered, delay_s)

    async def extend(self) -> None:
        await self.consumer.extend(self.delivered)


class NatsQueue(Generic[T]):
    """A durable consumer as a Queue of decoded messages.

    A message that cannot be decoded, or whose body the store has lost, is logged and let go: it
    would come for ever.
    """

    def __init__(self, bus: Bus, rule: ConsumerRule, decode: Callable[[Delivered], T]) -> None:
        self._consumer = Consumer(bus, rule)
        self._claims = Claims(bus)
        self._rule = rule
        self._decode = decode

    async def __aiter__(self) -> AsyncIterator[OwedMessage[T]]:
        await self._consumer.ensure()
        async for delivered in self._consumer:
            try:
                item = self._decode(await self._opened(delivered))
            except (msgspec.MsgspecError, Undecodable, Damaged) as error:
                log.error("undecodable", stream=self._rule.stream, reason=str(error))  # noqa: TRY400
                await self._consumer.done(delivered)
            else:
                yield OwedMessage(item, delivered, self._consumer)

    async def _opened(self, delivered: Delivered) -> Delivered:
        """With its whole body. Waited for here: what comes next must not overtake it."""
        while True:
            try:
                return await opened(self._claims, delivered)
            except Unavailable as error:
                log.warning("body_later", stream=self._rule.stream, reason=str(error))
                await self._consumer.extend(delivered)
                await asyncio.sleep(ENSURE_RETRY_S)


async def opened(claims: Claims, delivered: Delivered) -> Delivered:
    """A message with its whole body. Raises what `Claims.body_of` raises."""
    given = delivered.body
    body = await claims.body_of(delivered.subject, delivered.sequence, given)
    return delivered if body is given else replace(delivered, body=body)


def _is_end(message: Msg) -> bool:
    return not message.reply and "Status" in (message.headers or {})
