"""PlanLoop: the event loop a plan runs on. Time is a number that the driver moves.

Theory: callbacks run in the order in which they were scheduled, timers in order of due time and
then of creation. Nothing here reads a clock or waits, so the same calls give the same order. Tasks
hash by their number: a set of tasks (asyncio keeps several) has the same order in every replay,
which it would not have by address.
"""

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

_NO_THREADS = "a plan has no threads and no I/O: put this work into a step.job"


if TYPE_CHECKING:
    # A checker would want the forty methods for files, sockets and signals, which a plan has not.
    _Loop: Any
else:
    _Loop = asyncio.AbstractEventLoop


class PlanTask(asyncio.Task[T]):
    """A task that hashes by its number."""

    def __init__(self, coro: Coroutine[Any, Any, T], *, number: int, **options: Any) -> None:
        # First: asyncio puts the task into a set while it is being made.
        self.number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.number


class PlanLoop(_Loop):  # type: ignore[misc]
    """Deterministic; moved by `settle` and `move_to`. `halted` is set by what ends the Run."""

    def __init__(self, on_clock: Callable[[float], None], on_error: Callable[[str], None]) -> None:
        self.now = 0.0
        self.halted: BaseException | None = None
        self._on_clock = on_clock
        self._on_error = on_error
        self._clock_shown = -1.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers_made = 0
        self._idle: list[asyncio.Future[None]] = []
        self._tasks: list[PlanTask[Any]] = []
        self._tasks_made = 0
        self._prune_at = 64
        self._running = False

    # What the driver uses.

    def settle(self) -> None:
        """Run until every coroutine waits for something that only the driver can bring."""
        previous = events._get_running_loop()
        events._set_running_loop(self)
        self._running = True
        try:
            while self.halted is None and (self._ready or self._due(self.now) or self._idle):
                if self._ready:
                    self._run_ready()
                elif not (idle := self._idle.pop()).done():
                    idle.set_result(None)
        finally:
            self._running = False
            events._set_running_loop(previous)

    def move_to(self, now: float) -> None:
        """Let time pass to `now`, firing what becomes due on the way, each at its own time."""
        while self.halted is None and (due := self.wake_at()) is not None and due <= now:
            self.now = max(self.now, due)
            self.settle()
        self.now = max(self.now, now)

    def wake_at(self) -> float | None:
        """The earliest time at which there is something to do."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def unfinished(self) -> list[PlanTask[Any]]:
        """The tasks that are not done, oldest first."""
        self._tasks = [task for task in self._tasks if not task.done()]
        return list(self._tasks)

    def _due(self, now: float) -> bool:
        """Queue what is due, in order; whether there was any."""
        found = False
        while (due := self.wake_at()) is not None and due <= now:
            self._ready.append(heapq.heappop(self._timers)[2])
            found = True
        return found

    def _run_ready(self) -> None:
        if self.now != self._clock_shown:
            self._clock_shown = self.now
            self._on_clock(self.now)
        ready = self._ready
        try:
            while ready and self.halted is None:
                handle = ready.popleft()
                if not handle.cancelled():
                    handle._run()
        except (SystemExit, KeyboardInterrupt) as error:
            self.halted = error

    # What the verbs use.

    async def wait_idle(self) -> None:
        """Until everything else waits; no time passes meanwhile.

        Who asked last is told first: what it then begins is what an earlier one waits for.
        """
        idle = self.create_future()
        self._idle.append(idle)
        await idle

    # What asyncio uses.

    def time(self) -> float:
        return self.now

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return False

    def get_debug(self) -> bool:
        return False

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_made += 1
        heapq.heappush(self._timers, (when, self._timers_made, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped when they come to the front."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **_: Any,
    ) -> PlanTask[T]:
        self._tasks_made += 1
        number = self._tasks_made
        name = name or f"Task-{number}"
        task = PlanTask(coro, number=number, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) > self._prune_at:
            self._prune_at = 64 + 2 * len(self.unfinished())
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        what = f": {type(error).__name__}: {error}" if error is not None else ""
        self._on_error(f"{context.get('message', 'an error in a callback')}{what}\n")

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> Any:
        raise NotImplementedError(_NO_THREADS)

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        raise NotImplementedError(_NO_THREADS)

    async def shutdown_asyncgens(self) -> None:
        """Nothing is kept of them."""
