"""Trace: tell the sandbox's stderr which line of the tenant's runs, for a Turn that was stopped.

A telling costs a call to the host, so a line that runs again and again is told at its 1st, 2nd,
4th, 8th … time: the last telling still names the place where the Turn hung.
"""

import sys
from collections.abc import Callable, Set
from types import FrameType
from typing import Any


def trace(files: Set[str], tell: Callable[[str], None]) -> None:
    """Tell every line of these files from now on, in this thread."""
    counts: dict[tuple[str, int], int] = {}

    def on_line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            place = (frame.f_code.co_filename, frame.f_lineno)
            count = counts.get(place, 0) + 1
            counts[place] = count
            if count & (count - 1) == 0:
                tell(f"{place[0]}:{place[1]}\n")
        return on_line

    def on_call(frame: FrameType, _event: str, _: Any) -> Any:
        return on_line if frame.f_code.co_filename in files else None

    sys.settrace(on_call)


def stop() -> None:
    """Tell no more."""
    sys.settrace(None)
