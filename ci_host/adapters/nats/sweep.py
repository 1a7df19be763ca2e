"""Sweep: everything that is on a subject now, read once by a consumer that nobody keeps.

For very many subjects a batch read looks each one up by its name, and every message brings headers
that a client must parse: 100,000 took six times as long. What has few messages is read by `Bus`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from ci_host.adapters.nats.bus import REQUEST_TIMEOUT_S, Bus
from ci_host.adapters.nats.consumer import Delivered, delivered_of
from ci_host.ports import Unavailable

BATCH = 1_000


async def sweep(bus: Bus, stream: str, subject: str) -> AsyncIterator[Delivered]:
    """Every message that is there as the sweep begins, in order. Raises Unavailable."""
    try:
        async for one in _swept(bus, stream, subject):
            yield one
    except (NatsError, TimeoutError) as error:
        raise Unavailable(f"{stream} cannot be read: {error!r}") from error


async def _swept(bus: Bus, stream: str, subject: str) -> AsyncIterator[Delivered]:
    rule = ConsumerConfig(
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.NONE,
        filter_subject=subject,
        inactive_threshold=REQUEST_TIMEOUT_S * 2,
        mem_storage=True,
        num_replicas=1,
    )
    consumer = await bus.js.add_consumer(stream, rule)
    arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
    inbox = bus.client.new_inbox()

    async def on_message(message: Msg) -> None:
        arrived.put_nowait(message)

    subscription = await bus.client.subscribe(inbox, cb=on_message)
    # The consumer is gone with its server: None says so at once.
    forget = bus.on_reconnect(lambda: arrived.put_nowait(None))
    try:
        left = consumer.num_pending or 0
        while left > 0:
            wanted = min(left, BATCH)
            wish = {"batch": wanted, "expires": int(REQUEST_TIMEOUT_S * 1e9)}
            await bus.client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer.name}",
                msgspec.json.encode(wish),
                reply=inbox,
            )
            for _ in range(wanted):
                yield delivered_of(await _next(arrived, stream))
            left -= wanted
        await bus.js.delete_consumer(stream, consumer.name)
    finally:
        forget()
        with suppress(NatsError):
            await subscription.unsubscribe()


async def _next(arrived: "asyncio.Queue[Msg | None]", stream: str) -> Msg:
    if arrived.empty():
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            message = await arrived.get()
    else:
        message = arrived.get_nowait()
    if message is None or not message.reply:
        raise Unavailable(f"the connection was lost while {stream} was being read")
    return message
