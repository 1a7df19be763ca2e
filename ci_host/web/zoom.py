"""Zoom: which part of a Timeline is drawn, and which parts are one step away. Pure.

Steps are taken on the axis as it is drawn, long waits folded: half of what is seen is what the eye
takes for half.
"""

from dataclasses import dataclass

from ci_host.web.time_scale import Window, scale_of, whole
from ci_host.web.timeline import Row, Timeline

# Nobody needs to see less at once.
WINDOW_S_MIN = 0.05
MARGIN = 0.04


@dataclass(frozen=True, slots=True)
class Zoom:
    """`shown` None: all of it. The others are where a step leads, None where there is none;
    `out` is None both where nothing is left to show and where the step leads to all of it."""

    shown: Window | None = None
    into: Window | None = None
    out: Window | None = None
    earlier: Window | None = None
    later: Window | None = None


def window_of(line: Timeline, after_s: float | None, until_s: float | None) -> Window | None:
    """The part from so many seconds after the Run's beginning; None: all, also for nonsense."""
    if after_s is None or until_s is None:
        return None
    begin, end = line.begin + after_s, min(line.begin + until_s, line.end)
    if begin <= line.begin and end >= line.end:
        return None
    return Window(begin, end) if end - begin >= WINDOW_S_MIN else None


def zoom_of(line: Timeline, shown: Window | None) -> Zoom:
    """The steps from what is shown."""
    scale, window = scale_of(line), shown or whole(line)
    left, right = scale.x(window.begin), scale.x(window.end)
    width = right - left

    def part(begin: float, end: float) -> Window | None:
        begin, end = max(begin, 0.0), min(end, 100.0)
        # There and back on the axis is not to the last bit the same.
        found = Window(max(scale.at(begin), line.begin), min(scale.at(end), line.end))
        is_all = begin <= 0 and end >= 100
        return None if is_all or found.end - found.begin < WINDOW_S_MIN else found

    return Zoom(
        shown=shown,
        into=part(left + width / 4, right - width / 4),
        out=part(left - width / 2, right + width / 2),
        earlier=part(max(left - width / 2, 0), max(right - width / 2, width)) if left > 0 else None,
        later=part(min(left + width / 2, 100 - width), right + width / 2) if right < 100 else None,
    )


def around(row: Row, line: Timeline) -> Window | None:
    """The part in which the Step was, with a margin; None: that is nothing, or all."""
    if not row.segments:
        return None
    begin, end = row.segments[0].begin, row.segments[-1].end
    margin = (end - begin) * MARGIN
    found = Window(max(begin - margin, line.begin), min(end + margin, line.end))
    if found.end - found.begin < WINDOW_S_MIN or found == whole(line):
        return None
    return found
