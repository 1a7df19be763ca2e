"""Intake: takes recorded Deliveries from their queues and starts their Runs."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from ci_host.engine.pace import Pace
from ci_host.engine.triggers import Triggers
from ci_host.ports import Owed, Queue, SourceUnavailable, Unavailable
from pipelines.repo import Delivery
from webhooks.errors import InboxUnavailable
from webhooks.inbox import Inbox

LOOK_S = 0.5
RETRY_S_FIRST = 2.0
RETRY_S_MAX = 120.0
# A forge that is away for a week is waited for; of an error of ours somebody must look sooner.
AWAY_TRIES_MAX = 5_000
BROKEN_TRIES_MAX = 70

log = structlog.get_logger()


class Intake:
    """Several Deliveries at a time; each is done when it is told what became of it.

    `steady`: seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        queues: Sequence[Queue[Delivery]],
        triggers: Triggers,
        inbox: Inbox,
        steady: Callable[[], float],
    ) -> None:
        self._queues = queues
        self._triggers = triggers
        self._inbox, self._steady = inbox, steady
        self._pace = Pace()
        self._taking = asyncio.Event()

    async def serve(self) -> None:
        """Take Deliveries for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            for deliveries in self._queues:
                group.create_task(self._follow(deliveries, group))

    async def _follow(self, deliveries: Queue[Delivery], group: asyncio.TaskGroup) -> None:
        async for owed in deliveries:
            self._taking.set()
            await self._pace.enter()
            group.create_task(self._take(owed))

    async def _watch(self) -> None:
        """Count the calls for as long as any are taken; nobody is asked while nothing comes."""
        while True:
            await self._taking.wait()
            self._taking.clear()
            try:
                await self._pace.counted(await self._inbox.count(), self._steady())
            except InboxUnavailable as error:
                log.warning("calls_not_counted", reason=str(error))
            await asyncio.sleep(LOOK_S)

    async def _take(self, owed: Owed[Delivery]) -> None:
        try:
            await self._triggers.take(owed.item)
            await owed.done()
        except (SourceUnavailable, Unavailable) as error:
            await self._try_again(owed, str(error), AWAY_TRIES_MAX)
        except Exception:  # the edge: one Delivery's trouble must not stop the others
            log.exception("delivery_broke", delivery=owed.item.id)
            said = "an error of Staunch's own, see the engine's log"
            await self._try_again(owed, said, BROKEN_TRIES_MAX)
        finally:
            await asyncio.sleep(self._pace.rest_s)
            await self._pace.leave()

    async def _try_again(self, owed: Owed[Delivery], reason: str, tries_max: int) -> None:
        delivery = owed.item
        if owed.times >= tries_max:
            await self._triggers.give_up(delivery, f"given up after {owed.times} tries: {reason}")
            await owed.done()
            return
        delay = min(RETRY_S_MAX, RETRY_S_FIRST * 2.0 ** min(owed.times - 1, 10))
        log.warning("delivery_later", delivery=delivery.id, reason=reason, delay_s=delay)
        await owed.later(delay)
