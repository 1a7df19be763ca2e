"""The delivery of what programs outside are told, put together for the host."""

import asyncio
from collections.abc import Callable

import httpx2
import msgspec
import structlog

from ci_host.adapters.nats.announcements import announcements_for, consumer_of, forget
from ci_host.api.services import Services
from ci_host.engine.subscription_delivery import SubscriptionDelivery
from ci_host.ports import Unavailable
from pipelines.announcement import Subscription
from webhooks.outgoing import Outgoing

NEW_SUBSCRIPTIONS_S = 1.0
CONNECTIONS_MAX = 100

log = structlog.get_logger()


async def deliver_announcements(here: Services, dice: Callable[[], float]) -> None:
    """One delivery for each Subscription, as they come and go."""
    # Of their own: no receiver is to take a connection from a forge.
    limits = httpx2.Limits(max_connections=CONNECTIONS_MAX)
    async with httpx2.AsyncClient(limits=limits) as client, asyncio.TaskGroup() as group:
        sender = Outgoing(client, here.settings.url, dice=dice, now=here.now)
        served: dict[str, asyncio.Task[None]] = {}
        forgotten: set[str] = set()
        while True:
            known = list(here.directory.subscriptions.values())
            wanted = {consumer_of(one): one for one in known if not one.removed}
            for name in wanted.keys() - served.keys():
                served[name] = group.create_task(_delivery(here, wanted[name], sender).serve())
            over = {consumer_of(one) for one in known if one.removed} | served.keys()
            for name in over - wanted.keys() - forgotten:
                if (task := served.pop(name, None)) is not None:
                    task.cancel()
                if await _is_forgotten(here, name):
                    forgotten.add(name)
            await asyncio.sleep(NEW_SUBSCRIPTIONS_S)


def _delivery(here: Services, one: Subscription, sender: Outgoing) -> SubscriptionDelivery:
    known = here.directory.subscriptions

    def current() -> Subscription | None:
        # One of the same name that was made later is another.
        found = known.get(one.id)
        return found if found is not None and found.created_at == one.created_at else None

    async def stop(reason: str) -> None:
        # As it is now: its secrets may be others than those that signed the call.
        found = current()
        if found is not None and not found.removed:
            stopped = msgspec.structs.replace(found, stopped=reason)
            await here.catalog.put_subscription(stopped)
            known[stopped.id] = stopped

    queue = announcements_for(here.bus, one)
    made = SubscriptionDelivery(queue, sender, current, stop, here.now)
    here.tries[one.id] = made.tries
    return made


async def _is_forgotten(here: Services, consumer: str) -> bool:
    try:
        await forget(here.bus, consumer)
    except Unavailable as error:
        log.warning("consumer_not_forgotten", name=consumer, reason=str(error))
        return False
    return True
