"""TimeScale: where a point in time is drawn, in percent of a width, and what the axis says. Pure.

Theory of operation. A Run may work for a minute and wait for a week; on a plain axis the work would
be a hair. So time is cut where segments begin and end, and a stretch in which nothing is worked on
is *folded*: drawn far narrower than it lasted, hatched, with its length written on it. Everything
else keeps one scale, so that lengths can be compared. A Window is a part of the Run that has the
whole width; what is folded is decided anew for it.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ci_host.web.timeline import IDLE, Timeline
from ci_host.web.words import duration

# A wait is folded from this many times the working time on, and this many seconds.
FOLD_FROM = 2.5
FOLD_S_MIN = 10.0
# With less working time than this there is nothing to make room for.
PLAIN_S_MIN = 0.001
# What all folds together may take of the width, and one of them alone.
FOLDS_SHARE = 0.35
FOLD_SHARE = 0.12
TICKS_APART_PERCENT = 9.0
TICKS_MAX = 10
NEAR_PERCENT = 14.0
STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400,
           43200, 86400, 172800, 604800, 2592000, 31536000)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of time and where it is drawn; between pieces nothing is left out."""

    begin: float
    end: float
    x: float
    width: float
    folded: bool


class Scale:
    """Where a point in time is drawn, in percent. Monotone."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        assert pieces, "an axis has at least one piece"
        self.pieces = pieces
        self._begins = [piece.begin for piece in pieces]
        self._places = [piece.x for piece in pieces]

    def x(self, at: float) -> float:
        """0 at the Run's beginning, 100 at its end."""
        piece = self.pieces[max(0, bisect_right(self._begins, at) - 1)]
        length = piece.end - piece.begin
        share = (at - piece.begin) / length if length > 0 else 0.0
        return round(piece.x + piece.width * min(max(share, 0.0), 1.0), 3)

    def at(self, x: float) -> float:
        """The point in time that is drawn there."""
        piece = self.pieces[max(0, bisect_right(self._places, x) - 1)]
        share = (x - piece.x) / piece.width if piece.width > 0 else 0.0
        return piece.begin + (piece.end - piece.begin) * min(max(share, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on the axis. `is_near`: on a narrow screen it would touch another text."""

    x: float
    label: str
    is_near: bool


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the Run's time."""

    begin: float
    end: float


def whole(line: Timeline) -> Window:
    """All of it."""
    return Window(line.begin, line.end)


def scale_of(line: Timeline, window: Window | None = None) -> Scale:
    """The axis of a Timeline, or of a part of it; long waits are folded."""
    window = window or whole(line)
    stretches = list(_within(window, _stretches(line)))
    busy_s = sum(end - begin for begin, end, idle in stretches if not idle)
    limit_s = max(FOLD_S_MIN, busy_s * FOLD_FROM)
    spans: list[tuple[float, float, bool]] = []
    for begin, end, idle in stretches:
        is_folded = idle and end - begin > limit_s
        if spans and not is_folded and not spans[-1][2]:
            begin = spans.pop()[0]
        spans.append((begin, end, is_folded))
    folds = sum(is_folded for _, _, is_folded in spans)
    plain_s = sum(end - begin for begin, end, is_folded in spans if not is_folded)
    if not folds or plain_s < PLAIN_S_MIN:
        return Scale([Piece(window.begin, window.end, 0.0, 100.0, False)])
    share = min(FOLD_SHARE, FOLDS_SHARE / folds) * 100
    per_s = (100 - share * folds) / plain_s
    pieces, x = [], 0.0
    for begin, end, is_folded in spans:
        width = share if is_folded else (end - begin) * per_s
        pieces.append(Piece(begin, end, x, width, is_folded))
        x += width
    return Scale(pieces)


def _within(
    window: Window, stretches: Iterator[tuple[float, float, bool]]
) -> Iterator[tuple[float, float, bool]]:
    """What of them is in the window."""
    for begin, end, idle in stretches:
        if end > window.begin and begin < window.end:
            yield max(begin, window.begin), min(end, window.end), idle


def _stretches(line: Timeline) -> Iterator[tuple[float, float, bool]]:
    """(begin, end, idle), without gaps, neighbours of one kind joined.

    Idle is where at least one Step waits and none is worked on.
    """
    changes: dict[float, list[int]] = {line.begin: [0, 0], line.end: [0, 0]}
    for row in line.rows:
        for segment in row.segments:
            kind = 1 if segment.phase in IDLE else 0
            changes.setdefault(segment.begin, [0, 0])[kind] += 1
            changes.setdefault(segment.end, [0, 0])[kind] -= 1
    working, waiting = 0, 0
    begin, idle = line.begin, False
    for at in sorted(changes):
        was_idle = idle
        working += changes[at][0]
        waiting += changes[at][1]
        idle = working == 0 and waiting > 0
        if idle != was_idle and at > begin:
            yield begin, at, was_idle
            begin = at
    # Every segment ends with the Run at the latest, so an idle end was yielded above.
    assert not idle
    if begin < line.end or begin == line.begin:
        yield begin, line.end, False


def ticks(scale: Scale, line: Timeline) -> Iterator[Tick]:
    """Round times since the beginning; behind a fold, or in a window, since its edge (`+30s`)."""
    plain = [piece for piece in scale.pieces if not piece.folded]
    labels = [piece.x + piece.width / 2 for piece in scale.pieces if piece.folded]
    total_s = sum(piece.end - piece.begin for piece in plain)
    step_s = next((s for s in STEPS_S if total_s / s <= TICKS_MAX), STEPS_S[-1])
    last = -TICKS_APART_PERCENT
    for piece in plain:
        is_first = piece.x == 0
        number = 0 if is_first else 1
        while (at := piece.begin + number * step_s) < piece.end or (is_first and number == 0):
            x = scale.x(at)
            apart = min([100 - x, *(abs(x - label) for label in labels)])
            if x - last >= TICKS_APART_PERCENT and apart >= TICKS_APART_PERCENT / 2:
                last = x
                yield Tick(x, _said(piece, line, number * step_s), apart < NEAR_PERCENT)
            number += 1


def _said(piece: Piece, line: Timeline, after_s: float) -> str:
    """What stands at so many seconds behind the piece's edge."""
    if piece.x == 0 and (after_s == 0 or piece.begin == line.begin):
        return _tick_label(piece.begin - line.begin + after_s)
    return f"+{_tick_label(after_s)}"


def _tick_label(seconds: float) -> str:
    if seconds == 0:
        return "0"
    return f"{seconds:.1f}s" if seconds < 10 and seconds % 1 else duration(seconds + 0.001)
