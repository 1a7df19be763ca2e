"""Endings: signals that end a command wait until what is being drawn is drawn.

Python raises between any two instructions. What is half written by then is written again with what
comes next, and a region of the terminal that should be gone stays.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class Endings:
    """Between `begin` and `end` each does what it did before, and one that would end the process
    at once has it leave its contexts first, with the exit code that a shell would give it."""

    _before: dict[int, Callable[[int, FrameType | None], object] | int] = field(
        default_factory=dict, init=False
    )
    _drawing: int = field(default=0, init=False)
    _came: list[int] = field(default_factory=list, init=False)

    def begin(self) -> None:
        """From now on. Only the main thread is told of signals."""
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            handler = signal.getsignal(number)
            # `nohup` has its way.
            if handler is not None and handler is not signal.SIG_IGN:
                self._before[number] = handler
                signal.signal(number, self._take)

    def end(self) -> None:
        """As it was before."""
        while self._before:
            number, handler = next(iter(self._before.items()))
            signal.signal(number, handler)
            del self._before[number]

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """What comes meanwhile comes right behind."""
        self._drawing += 1
        try:
            yield
        finally:
            self._drawing -= 1
        if self._came and not self._drawing:
            self._pass_on(self._came.pop(0), None)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._drawing:
            self._came.append(number)
        else:
            self._pass_on(number, frame)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        handler = self._before.get(number)
        if callable(handler):
            handler(number, frame)
        else:
            raise SystemExit(128 + number)
