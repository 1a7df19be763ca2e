"""Pulls: how jobs are asked of a pool's queues, the most important first. One object an agent.

Each priority has a queue, with a durable consumer. Whoever has a free slot looks into them from the
first to the last and takes what is there; where all are empty, it waits at all of them at once. A
pull cannot be taken back: what one still brings when nobody waits any more is given back at once.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Sequence
from functools import partial

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error

from runners.ports import Unavailable

PULL_S = 5.0
# The server's own expiry answers first; the margin is for a server that went away.
MARGIN_S = 0.5
RELEASE_S = 1.0
# "No Messages"; "Request Timeout", or "Requests Pending": what is there others have asked for.
EMPTY = ("404", "408")


class Pulls:
    """The pulls of one agent at these consumers, the first of which comes first."""

    def __init__(self, client: Client, stream: str, consumers: Sequence[str]) -> None:
        self._client = client
        self._stream = stream
        self._consumers = tuple(consumers)
        self._inboxes: dict[str, Subscription] = {}
        self._looks: Subscription | None = None
        self._looking = asyncio.Lock()
        self._answer: asyncio.Future[Msg | None] | None = None
        self._waiting: deque[asyncio.Future[Msg | None]] = deque()
        # Until when each pull is there that has not been answered, the oldest first.
        self._asked: dict[str, deque[float]] = {consumer: deque() for consumer in consumers}
        self._is_releasing = False

    async def start(self) -> None:
        """Be ready to hear answers; the client does so anew after a lost connection."""
        self._looks = await self._client.subscribe(self._client.new_inbox(), cb=self._on_look)
        for consumer in self._consumers:
            heard = partial(self._on_pull, consumer)
            self._inboxes[consumer] = await self._client.subscribe(
                self._client.new_inbox(), cb=heard
            )

    async def next(self) -> Msg | None:
        """The most important job that is there, or the first that comes; None: none has come.

        Raises Unavailable.
        """
        for consumer in self._consumers:
            if self._is_releasing:
                return None
            message = await self._look(consumer)
            if message is not None:
                return message
        return None if self._is_releasing else await self._wait()

    def forget(self) -> None:
        """The server forgot the pulls of the old connection: whoever waits asks again at once."""
        for asked in self._asked.values():
            asked.clear()
        self._wake()

    async def release(self) -> None:
        """Take nothing any more. Without interest the server drops the pulls that wait."""
        self._is_releasing = True
        self._wake()
        with contextlib.suppress(TimeoutError):
            # Ends the interest first and the handler last: what is on its way is given back.
            async with asyncio.timeout(RELEASE_S):
                await asyncio.gather(*map(_drain, self._subscriptions()))

    def _subscriptions(self) -> list[Subscription]:
        return [*self._inboxes.values(), *([self._looks] if self._looks is not None else [])]

    def _wake(self) -> None:
        for waiter in (self._answer, *self._waiting):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    # -- what is there now

    async def _look(self, consumer: str) -> Msg | None:
        """One looks at a time, so that the next answer is the one to this question."""
        assert self._looks is not None, "start comes first"
        async with self._looking:
            answer = self._answer = asyncio.get_running_loop().create_future()
            try:
                await self._pull(consumer, self._looks, {"batch": 1, "no_wait": True})
                await asyncio.wait({answer}, timeout=PULL_S)
            except BaseException:
                await self._give_back_of(answer)
                raise
            finally:
                self._answer = None
        if not answer.done():
            raise Unavailable(f"the queue of {consumer} does not answer")
        return _job_in(answer.result())

    async def _on_look(self, message: Msg) -> None:
        answer = self._answer
        if answer is not None and not answer.done():
            answer.set_result(message)
        else:
            await self._give_back(message)

    # -- what comes

    async def _wait(self) -> Msg | None:
        waiter: asyncio.Future[Msg | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await self._ask()
            await asyncio.wait({waiter}, timeout=PULL_S + MARGIN_S)
        except BaseException:
            await self._give_back_of(waiter)
            raise
        finally:
            self._waiting.remove(waiter)
        return _job_in(waiter.result()) if waiter.done() else None

    async def _ask(self) -> None:
        """See that as many pulls are at each consumer as there are slots that wait."""
        now = asyncio.get_running_loop().time()
        for consumer, asked in self._asked.items():
            while asked and asked[0] <= now:
                asked.popleft()
            while len(asked) < self._waiting_count():
                asked.append(now + PULL_S + MARGIN_S)
                wish = {"batch": 1, "expires": int(PULL_S * 1e9)}
                await self._pull(consumer, self._inboxes[consumer], wish)

    def _waiting_count(self) -> int:
        return sum(not waiter.done() for waiter in self._waiting)

    async def _on_pull(self, consumer: str, message: Msg) -> None:
        if self._asked[consumer]:
            self._asked[consumer].popleft()
        if _status_of(message) in EMPTY:
            with contextlib.suppress(Unavailable):
                await self._ask()
            return
        waiter = next((one for one in self._waiting if not one.done()), None)
        if waiter is None:
            await self._give_back(message)
        else:
            waiter.set_result(message)

    # -- the bus

    async def _pull(self, consumer: str, inbox: Subscription, wish: dict[str, int]) -> None:
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{consumer}"
        try:
            await self._client.publish(subject, json.dumps(wish).encode(), inbox.subject)
        except Error as error:
            raise Unavailable(str(error)) from error

    async def _give_back_of(self, answer: "asyncio.Future[Msg | None]") -> None:
        if answer.done() and (message := answer.result()) is not None:
            await self._give_back(message)

    async def _give_back(self, message: Msg) -> None:
        if _status_of(message) is None:
            with contextlib.suppress(Error):
                await self._client.publish(message.reply, b"-NAK")


def _status_of(message: Msg) -> str | None:
    return (message.headers or {}).get("Status")


def _job_in(message: Msg | None) -> Msg | None:
    """The message, if it is a job. Raises Unavailable if it says that something is wrong."""
    status = message and _status_of(message)
    if message is None or status in EMPTY:
        return None
    if status is not None:
        # 503 no responders, 409 consumer deleted: the stream or the consumer is not there.
        raise Unavailable(f"pull answered {status}: {message.headers}")
    return message


async def _drain(subscription: Subscription) -> None:
    with contextlib.suppress(Error, TimeoutError):
        await subscription.drain()  # type: ignore[no-untyped-call]
