"""Ringing: takes what rings for the schedules, one after another, and has it seen to."""

import asyncio

import structlog

from ci_host.engine.schedules import Schedules
from ci_host.ports import Owed, Queue, SourceUnavailable, Unavailable
from pipelines.schedule import Alarm, Ring

AT_ONCE_MAX = 8
RETRY_S_FIRST = 1.0
RETRY_S_MAX = 120.0

log = structlog.get_logger()


class Ringing:
    """Several at a time. What cannot be seen to comes again, for ever: nothing else would wake it.

    Each is done when the next alarm is armed.
    """

    def __init__(self, rings: Queue[Ring], schedules: Schedules) -> None:
        self._rings = rings
        self._schedules = schedules
        self._room = asyncio.Semaphore(AT_ONCE_MAX)

    async def serve(self) -> None:
        """Take what rings for ever."""
        async with asyncio.TaskGroup() as group:
            async for owed in self._rings:
                await self._room.acquire()
                group.create_task(self._take(owed))

    async def _take(self, owed: Owed[Ring]) -> None:
        ring = owed.item
        try:
            if isinstance(ring, Alarm):
                # The store's clock may be ahead of ours: what rang is due.
                await self._schedules.attend(ring.repo, ring.due)
            else:
                await self._schedules.run_now(ring)
            await owed.done()
        except (SourceUnavailable, Unavailable) as error:
            await self._later(owed, str(error))
        except Exception:  # the edge: one Repo's trouble must not stop the others
            log.exception("schedule_broke", repo=ring.repo)
            await self._later(owed, "an error of Staunch's own")
        finally:
            self._room.release()

    async def _later(self, owed: Owed[Ring], reason: str) -> None:
        delay = min(RETRY_S_MAX, RETRY_S_FIRST * 2.0 ** min(owed.times - 1, 10))
        log.warning("schedule_later", repo=owed.item.repo, reason=reason, delay_s=delay)
        await owed.later(delay)
