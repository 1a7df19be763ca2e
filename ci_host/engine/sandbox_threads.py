"""SandboxThreads: the few threads on which guests run, with a crash slot for each.

The sandbox is synchronous and not thread-safe per instance; an actor only ever has one call out.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ci_host.engine.crash_slots import CrashSlots
from ci_host.tenant.threads import sandbox_threads
from pipelines.ids import RunId

T = TypeVar("T")


class SandboxThreads:
    """Run synchronous sandbox calls off the loop. A suspect (see CrashSlots) runs alone."""

    def __init__(self, slots: CrashSlots, threads: int) -> None:
        self._executor = sandbox_threads(threads)
        self._slots = slots
        self._count = threads
        self._free: asyncio.Queue[int] = asyncio.Queue()
        for slot in range(threads):
            self._free.put_nowait(slot)
        self._taking_all = asyncio.Lock()
        self._alone: set[RunId] = set()

    def run_alone(self, run: RunId) -> None:
        """This Run's next call has all threads to itself: it found no time beside others."""
        self._alone.add(run)

    async def run(self, run: RunId, call: Callable[[], T]) -> T:
        """Call it on a sandbox thread, in this Run's name."""
        if self._slots.crashes(run) or run in self._alone:
            self._alone.discard(run)
            return await self._run_alone(run, call)
        slot = await self._free.get()
        try:
            return await self._enter(slot, run, call)
        finally:
            self._free.put_nowait(slot)

    async def _run_alone(self, run: RunId, call: Callable[[], T]) -> T:
        async with self._taking_all:
            taken = [await self._free.get() for _ in range(self._count)]
            try:
                return await self._enter(taken[0], run, call)
            finally:
                for slot in taken:
                    self._free.put_nowait(slot)

    async def _enter(self, slot: int, run: RunId, call: Callable[[], T]) -> T:
        def entered() -> T:
            self._slots.enter(slot, run)
            try:
                return call()
            finally:
                self._slots.leave(slot, run)

        return await asyncio.get_running_loop().run_in_executor(self._executor, entered)

    async def maintain(self, call: Callable[[], T]) -> T:
        """A call in nobody's name, such as refilling blanks."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def let_go(self, close: Callable[[], None]) -> None:
        """Close an instance when a thread is free: giving its memory back takes a millisecond."""
        self._executor.submit(close)

    def close(self) -> None:
        """Wait for the calls that are out, and end the threads."""
        self._executor.shutdown()
