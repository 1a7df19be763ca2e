"""The delivery of what programs outside are told, put together for the host."""

import asyncio
from collections.abc import Callable
from functools import partial

import httpx2
import msgspec

from ci_host.adapters.nats.announcements import announcements_for
from ci_host.api.services import Services
from ci_host.engine.subscription_delivery import SubscriptionDelivery
from pipelines.announcement import Subscription
from webhooks.outgoing import Outgoing

NEW_SUBSCRIPTIONS_S = 1.0
CONNECTIONS_MAX = 100


async def deliver_announcements(here: Services, dice: Callable[[], float]) -> None:
    """One delivery for each Subscription, also for those that are added later."""
    known, served = here.directory.subscriptions, set[str]()
    # Of their own: no receiver is to take a connection from a forge.
    limits = httpx2.Limits(max_connections=CONNECTIONS_MAX)
    async with httpx2.AsyncClient(limits=limits) as client, asyncio.TaskGroup() as group:
        sender = Outgoing(client, here.settings.url, dice=dice, now=here.now)
        while True:
            for id_ in set(known) - served:
                served.add(id_)
                delivery = SubscriptionDelivery(
                    announcements_for(here.bus, known[id_]),
                    sender,
                    partial(known.get, id_),
                    partial(_stop, here),
                    here.now,
                )
                here.tries[id_] = delivery.tries
                group.create_task(delivery.serve())
            await asyncio.sleep(NEW_SUBSCRIPTIONS_S)


async def _stop(here: Services, subscription: Subscription, reason: str) -> None:
    stopped = msgspec.structs.replace(subscription, stopped=reason)
    await here.catalog.put_subscription(stopped)
    here.directory.subscriptions[stopped.id] = stopped
