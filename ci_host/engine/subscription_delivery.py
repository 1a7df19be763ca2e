"""SubscriptionDelivery: Announcements to one Subscription: one at a time, in order, for as long as
it takes. What is sent, and how, is the sender's."""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from ci_host.announcement_ports import AnnouncementSender
from ci_host.engine.status_delivery import BROKEN_RETRY_S
from ci_host.ports import Owed, Queue, Unavailable
from pipelines.announcement import Announcement, Subscription
from webhooks.forge import Gone, Refused, SendLater, Sent

TRIES_SHOWN = 20

# Have nothing sent to it any more, and say why. Raises Unavailable.
Stop = Callable[[str], Awaitable[None]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one try. `at`: seconds since the epoch. `said` empty: it was taken."""

    announcement: str
    kind: str
    at: float
    attempt: int
    said: str
    is_over: bool


class SubscriptionDelivery:
    """`current`: the Subscription as it is now; None: it is no more. `tries`: the last ones, which
    somebody may look at; a host that begins anew knows none."""

    def __init__(
        self,
        outbox: Queue[Announcement],
        sender: AnnouncementSender,
        current: Callable[[], Subscription | None],
        stop: Stop,
        now: Callable[[], float],
    ) -> None:
        self._outbox, self._sender, self._current = outbox, sender, current
        self._stop, self._now = stop, now
        self.tries: deque[Tried] = deque(maxlen=TRIES_SHOWN)

    async def serve(self) -> None:
        """Deliver for ever."""
        async for owed in self._outbox:
            await self._deliver(owed)

    async def _deliver(self, owed: Owed[Announcement]) -> None:
        one, subscription = owed.item, self._current()
        if subscription is None or not subscription.wants(one):
            return await owed.done()
        try:
            told = await self._sender.send(subscription, one, attempt=owed.times)
        except Exception as error:  # the edge: one receiver's trouble must not end the host
            log.exception("announcement_broke", subscription=subscription.id, announcement=one.id)
            told = SendLater(f"an error of Staunch's own: {error!r}", BROKEN_RETRY_S)
        said = "" if isinstance(told, Sent) else told.reason
        is_over = not isinstance(told, SendLater)
        tried = Tried(one.id, one.kind, self._now(), owed.times, said, is_over)
        self.tries.appendleft(tried)
        if said:
            place = {"subscription": subscription.id, "announcement": one.id, "reason": said}
            log.warning("announcement_not_taken", **place, attempt=owed.times, given_up=is_over)
        match told:
            case SendLater(_, wait_s):
                return await owed.later(wait_s)
            case Gone(reason):
                try:
                    await self._stop(reason)
                except Unavailable as error:
                    log.warning("subscription_not_stopped", reason=str(error))
                    return await owed.later(BROKEN_RETRY_S)
            case Sent() | Refused():
                pass
        await owed.done()
