"""What a plan prints: kept with the Turn, up to a limit."""

import io
from collections.abc import Callable

from staunch.errors import LimitBreached

from pipelines.guest.limits import PRINTED_CHARS_MAX
from pipelines.guest.wire import printable


class Printed(io.TextIOBase):
    """Stands in for stdout and stderr. `on_breach` is told before the error is raised."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.on_breach: Callable[[BaseException], None] | None = None
        self._parts: list[str] = []
        self._chars = 0

    def writable(self) -> bool:
        """It is for writing."""
        return True

    def write(self, text: str) -> int:
        """Keep the text. Raises LimitBreached."""
        if not isinstance(text, str):
            raise TypeError(f"only text can be printed, not {type(text).__name__}")
        self._chars += len(text)
        if self._chars > PRINTED_CHARS_MAX:
            breach = LimitBreached(
                f"the plan printed more than {PRINTED_CHARS_MAX} characters in one turn;"
                " put long output into a job's log"
            )
            if self.on_breach is not None:
                self.on_breach(breach)
            raise breach
        self._parts.append(text)
        return len(text)

    def take(self) -> str:
        """What was printed since the last time."""
        text = printable("".join(self._parts))
        self._parts.clear()
        self._chars = 0
        return text

    def note(self, text: str) -> None:
        """Add a line of the driver's own, as long as there is room."""
        if self._chars + len(text) <= PRINTED_CHARS_MAX:
            self._chars += len(text)
            self._parts.append(text)
