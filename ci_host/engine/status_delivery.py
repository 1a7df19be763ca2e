"""Status delivery: what is in the outbox to the Forges, and what becomes of what they do not take.

A consumer of the outbox, one for each Connection and one message at a time, tells the Forge in
order. A Forge that is away gets, when it is back, what is newest of each place. What it refuses,
or breaks on again and again, holds up nobody: it is kept, listed with the reason, and told once
more when it may go well.
"""

import asyncio
import hashlib
from collections.abc import Callable, Collection
from typing import Protocol

import msgspec
import structlog

from ci_host.ports import Owed, Queue, Unavailable
from ci_host.status_ports import StatusOutbox, Untold, UntoldStatuses
from pipelines.status import Status
from webhooks.forge import Refused, SendLater, Sent

# After an error of our own in telling a Status: seldom enough to be read, and never given up.
BROKEN_RETRY_S = 60.0
# While the bus does not answer.
STORE_RETRY_S = 1.0
# What waited for so long has missed its moment.
WAITED_S = 30.0
# Six minutes of the sender's schedule: a Forge that breaks on one Status alone must not keep all
# others from it.
TRIES_MAX = 12
RETELL_S = 600.0
# A Forge that broke on one Status for so long will not recover from it.
RETELL_FOR_S = 3 * 86_400.0
ID_CHARS = 32

log = structlog.get_logger()


class Sender(Protocol):
    """Tells a Forge. See webhooks.reporter.StatusSender."""

    async def send(self, status: Status, *, attempt: int = 1) -> Sent | SendLater | Refused:
        """One try; every outcome is a record."""


class StatusDelivery:
    """The outbox of one Connection to its Forge: one at a time, in order, however long it takes.
    `now`: seconds since the epoch."""

    def __init__(
        self,
        queue: Queue[Status],
        sender: Sender,
        outbox: StatusOutbox,
        untold: UntoldStatuses,
        now: Callable[[], float],
    ) -> None:
        self._queue, self._sender = queue, sender
        self._outbox, self._untold, self._now = outbox, untold, now

    async def serve(self) -> None:
        """Deliver for ever."""
        async for owed in self._queue:
            try:
                await self._deliver(owed)
            except Unavailable as error:
                log.warning("status_later", **_place_of(owed.item), reason=str(error))
                await owed.later(STORE_RETRY_S)
            except Exception:  # the edge: one Forge's trouble must not end the host
                log.exception("status_broke", **_place_of(owed.item), delay_s=BROKEN_RETRY_S)
                await owed.later(BROKEN_RETRY_S)

    async def _deliver(self, owed: Owed[Status]) -> None:
        status = owed.item
        if await self._is_past(status):
            await owed.done()
            return
        match await self._sender.send(status, attempt=owed.times):
            case Sent():
                await self._untold.forget(status)
                await owed.done()
            case Refused(reason, nobody=True):
                log.info("status_for_nobody", **_place_of(status), reason=reason)
                await owed.done()
            case Refused(reason):
                await self._keep(status, reason, may_pass=False)
                await owed.done()
            case SendLater(reason, _, broke=True) if status.again_of or owed.times >= TRIES_MAX:
                await self._keep(status, reason, may_pass=True)
                await owed.done()
            case SendLater(reason, retry_after_s):
                log.warning(
                    "status_later",
                    **_place_of(status),
                    reason=reason,
                    attempt=owed.times,
                    delay_s=retry_after_s,
                )
                await owed.later(retry_after_s)

    async def _is_past(self, status: Status) -> bool:
        """Whether something newer was said of its place, or is about to be. What has just been said
        is told in any case: people watch it come and go."""
        if not status.again_of and self._now() - status.at < WAITED_S:
            return False
        first = status.again_of or status.id
        if await self._outbox.newest_of(status) not in (None, first):
            return True
        if not status.again_of:
            return False
        kept = await self._untold.find(status)
        return kept is None or kept.status.id != first

    async def _keep(self, status: Status, reason: str, *, may_pass: bool) -> None:
        before = await self._untold.find(status)
        is_again = before is not None and before.status.id == status.again_of
        since = before.since if before is not None and is_again else self._now()
        # What people are told of it in full is still in the outbox, and may be large.
        first = msgspec.structs.replace(
            status, id=status.again_of or status.id, again_of="", summary="", annotations=[]
        )
        await self._untold.keep(Untold(status=first, reason=reason, since=since, may_pass=may_pass))
        log.error("status_refused", **_place_of(status), reason=reason)


class StatusRetelling:
    """Has told once more what was told in vain. `now`: seconds since the epoch."""

    def __init__(
        self, outbox: StatusOutbox, untold: UntoldStatuses, now: Callable[[], float]
    ) -> None:
        self._outbox, self._untold, self._now = outbox, untold, now

    async def serve(self) -> None:
        """What a Forge broke on, now and then, for some days."""
        while True:
            await asyncio.sleep(RETELL_S)
            try:
                await self.again_what_may_pass()
            except Unavailable as error:
                log.warning("statuses_not_told_again", reason=str(error))
            except Exception:  # the edge: what somebody stored must not end the host
                log.exception("statuses_not_told_again")

    async def again_what_may_pass(self) -> int:
        """Of what a Forge broke on not too long ago. Raises Unavailable."""
        late = self._now() - RETELL_FOR_S
        this_round = int(self._now() // RETELL_S)
        return await self._again(lambda one: one.may_pass and one.since >= late, f"{this_round}")

    async def again(self, connections: Collection[str]) -> int:
        """All of these Connections: somebody has changed something. Raises Unavailable."""
        return await self._again(
            lambda one: one.status.connection in connections, f"at {self._now()}"
        )

    async def _again(self, is_wished: Callable[[Untold], bool], mark: str) -> int:
        """How many; each once for a mark, whoever else does it. Each goes the way of all others, so
        nothing overtakes anything."""
        wished = [one.status for one in await self._untold.all() if is_wished(one)]
        for status in wished:
            whole = await self._outbox.find(status) or status
            name = f"{status.id} {mark}"
            identity = hashlib.sha256(name.encode()).hexdigest()[:ID_CHARS]
            again = msgspec.structs.replace(whole, id=identity, again_of=status.id)
            await self._outbox.put(again)
        return len(wished)


def _place_of(status: Status) -> dict[str, str]:
    """All that somebody needs to find the commit, and to tell it by hand."""
    return {
        "connection": status.connection,
        "repo": status.repo_name,
        "commit": status.commit,
        "context": status.context,
        "state": str(status.state),
        "run": status.target_url,
    }
