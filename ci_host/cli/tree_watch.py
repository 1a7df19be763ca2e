"""Tree watch: notices that something was written below a directory, while somebody else works.

What is noticed is a hint: whether it is worth anything, a snapshot says.
"""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

# Editors write a file in several steps, and a branch is checked out file by file.
SETTLED_MS = 150


@dataclass(slots=True)
class TreeWatch:
    """A context. What git itself writes, and folders that tools fill, are not looked at."""

    top: Path
    _changed: threading.Event = field(default_factory=threading.Event, init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def __enter__(self) -> "TreeWatch":
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        assert self._thread is not None
        self._stop.set()
        self._thread.join()

    def wait_change(self, timeout_s: float) -> bool:
        """Whether something was written since it was last asked, or is within this time."""
        found = self._changed.wait(timeout_s)
        self._changed.clear()
        return found

    def _look(self) -> None:
        # Only here: no other command needs it.
        from watchfiles import watch

        for _ in watch(
            self.top,
            stop_event=self._stop,
            debounce=SETTLED_MS,
            step=50,
            rust_timeout=200,
            raise_interrupt=False,
        ):
            self._changed.set()
