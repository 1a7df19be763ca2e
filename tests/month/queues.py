"""Queues on the loop's clock: what is handed out is owed until it is done, and comes again."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pipelines.repo import Delivery
from pipelines.status import Status
from webhooks.inbox import Recorded
from webhooks.memory import MemoryInbox

T = TypeVar("T")


@dataclass
class MonthOwed(Generic[T]):
    """See Owed."""

    queue: "MonthQueue[T]"
    place: int
    item: T
    times: int = 1

    async def done(self) -> None:
        self.queue.owed.pop(self.place, None)
        self.queue.settled()

    async def later(self, delay_s: float) -> None:
        # One that is given back when its reader is dead comes with all others.
        if self.place in self.queue.owed:
            loop = asyncio.get_running_loop()
            loop.call_later(delay_s, self.queue.hand_out, self.place, self.queue.life)

    async def extend(self) -> None:
        """Nothing is given to anybody else here."""


class MonthQueue(Generic[T]):
    """See Queue. With `in_order` nothing is handed out before all that came earlier is done."""

    def __init__(self, *, in_order: bool = False) -> None:
        self.owed: dict[int, MonthOwed[T]] = {}
        self.life = 0
        self._in_order = in_order
        self._ready: list[int] = []
        self._news = asyncio.Event()
        self._last = 0

    def put(self, item: T) -> None:
        """It is owed from now on."""
        self._last += 1
        self.owed[self._last] = MonthOwed(self, self._last, item)
        self._ready.append(self._last)
        self._news.set()

    def hand_out(self, place: int, life: int) -> None:
        """Once more, to the reader of that life."""
        if place in self.owed and life == self.life:
            self.owed[place].times += 1
            self._ready.append(place)
            self._news.set()

    def settled(self) -> None:
        """Something is done: the next may be handed out."""
        self._news.set()

    def die(self) -> None:
        """The reader is gone: all that is owed comes again, from the first on."""
        self.life += 1
        self._ready = sorted(self.owed)
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[MonthOwed[T]]:
        life = self.life
        while life == self.life:
            place = self._next()
            if place is None:
                self._news.clear()
                await self._news.wait()
            else:
                yield self.owed[place]

    def _next(self) -> int | None:
        self._ready = [place for place in self._ready if place in self.owed]
        if not self._ready or (self._in_order and min(self.owed) not in self._ready):
            return None
        place = min(self.owed) if self._in_order else self._ready[0]
        self._ready.remove(place)
        return place


class MonthInbox(MemoryInbox):
    """See Inbox; what is recorded is owed to the intake."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: MonthQueue[Delivery] = MonthQueue()

    async def record(self, delivery: Delivery) -> Recorded:
        recorded = await super().record(delivery)
        if recorded is Recorded.RECORDED:
            self.queue.put(delivery)
        return recorded


class MonthOutbox:
    """See StatusOutbox; a Status is kept once, and told in order."""

    def __init__(self) -> None:
        self.queue: MonthQueue[Status] = MonthQueue(in_order=True)
        self._known: dict[str, Status] = {}
        self._newest: dict[str, str] = {}

    async def find(self, status: Status) -> Status | None:
        return self._known.get(status.id)

    async def put(self, status: Status) -> None:
        if status.id not in self._known:
            self._known[status.id] = status
            if not status.again_of:
                self._newest[status.place] = status.id
            self.queue.put(status)

    async def newest_of(self, place: Status) -> str | None:
        return self._newest.get(place.place)


def turns_queue() -> MonthQueue[Any]:
    """The Turns of all Runs, in order."""
    return MonthQueue()
