"""Log lines: where a process's own lines go. A line that cannot be written is lost, no more.

The logs lie on the same disk as everything else. When that is full, those who could say so, and
wait, must not die of saying it.
"""

import sys
from contextlib import suppress

import structlog


class LineLogger(structlog.PrintLogger):
    """Lines on standard error."""

    def msg(self, message: str) -> None:
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def line_logger(*_: object) -> LineLogger:
    """A structlog logger factory."""
    return LineLogger(sys.stderr)
