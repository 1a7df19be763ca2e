"""NatsWakeUps: new inputs of some shards as wake-ups. Implements WakeUps."""

import asyncio
from collections.abc import AsyncIterator

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.claims import is_claim
from ci_host.adapters.nats.consumer import Consumer, ConsumerRule, Delivered
from ci_host.ports import StoredInput, WakeUp
from pipelines.codec import Undecodable, decode_input
from pipelines.events import RunStarted

CONSUMER = "engine"


class NatsWakeUps:
    """See WakeUps: one durable consumer a shard."""

    def __init__(self, bus: Bus, shards: list[int]) -> None:
        self._queue: asyncio.Queue[WakeUp] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._consumers = [
            Consumer(
                bus,
                ConsumerRule(subjects.runs_stream(k), CONSUMER, (f"run.{k}.*.in",)),
            )
            for k in shards
        ]

    async def start(self) -> None:
        """Make the consumers and begin to pull."""
        for consumer in self._consumers:
            await consumer.ensure()
            self._tasks.append(asyncio.create_task(self._pull(consumer)))

    async def stop(self) -> None:
        """Stop pulling; what was handed out stays owed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pull(self, consumer: Consumer) -> None:
        async for got in consumer:
            run = subjects.run_of(got.subject)
            wake = WakeUp(run, got.sequence, got.times > 1, (consumer, got), _first(got))
            self._queue.put_nowait(wake)

    async def __aiter__(self) -> AsyncIterator[WakeUp]:
        while True:
            yield await self._queue.get()

    async def done(self, wake: WakeUp) -> None:
        consumer, got = _token(wake)
        await consumer.done(got)

    async def later(self, wake: WakeUp, delay_s: float) -> None:
        consumer, got = _token(wake)
        await consumer.later(got, delay_s)

    async def extend(self, wake: WakeUp) -> None:
        consumer, got = _token(wake)
        await consumer.extend(got)


def _first(got: Delivered) -> StoredInput | None:
    if is_claim(got.body):
        # Whoever reads the History gets the whole of it.
        return None
    try:
        given = decode_input(got.body)
    except Undecodable:
        # Whoever reads the History says so, and for which Run.
        return None
    return StoredInput(got.sequence, got.at, given) if isinstance(given, RunStarted) else None


def _token(wake: WakeUp) -> tuple[Consumer, Delivered]:
    assert isinstance(wake.token, tuple)
    return wake.token
