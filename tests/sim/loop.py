"""VirtualLoop: an asyncio loop whose time is a number, and on which nothing runs beside anything.

Theory: when nothing is ready, time moves to the next timer at once; what would run on a thread runs
here. So a simulation depends on its seed alone, and hours of waiting cost nothing.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

# So many rounds without a moment passing are somebody going round in circles.
ROUNDS_MAX = 50_000


class Stuck(Exception):
    """Nothing will ever happen again, or the same for ever."""


class _Clock(selectors.SelectSelector):
    """Instead of waiting so long, it is so much later."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._rounds = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck("nothing is ready, and no timer is set")
        self._rounds = 0 if timeout else self._rounds + 1
        if self._rounds > ROUNDS_MAX:
            self._rounds = 0
            raise Stuck(f"it is {self.now:.1f} s for ever")
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._clock.now

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """Call it now; the answer comes when the loop gets to it."""
        answer = self.create_future()
        try:
            answer.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is the caller's
            answer.set_exception(error)
        return answer
