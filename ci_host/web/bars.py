"""Bars: the newest Runs of a branch, one bar each: its height is how long it took. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ci_host.adapters.sql.tables import RunRow
from ci_host.web import words

SHOWN = 30
# Of the drawing: room for one bar with what is left free beside it, and the highest bar.
STEP, WIDTH, HEIGHT = 20, 14, 72
LEAST = 6
# A run that waited for days would make all others flat: it is drawn as high as this many medians.
CUT_AT = 4.0


@dataclass(frozen=True, slots=True)
class Bar:
    """`state` is the Run's as pages name it; `said` is all of it in words; `is_cut`: it took longer
    than is drawn."""

    run: str
    x: int
    y: int
    height: int
    state: str
    said: str
    is_cut: bool


def bars(rows: Sequence[RunRow], now: float) -> list[Bar]:
    """Of Runs, newest first as lists have them; drawn from the oldest to the newest."""
    shown = rows[:SHOWN][::-1]
    took = [max(0.0, (row.finished_at or now) - row.created_at) for row in shown]
    full = min(max(took), CUT_AT * median(took)) if took else 0.0
    return [
        _bar(row, index, seconds, full or 1.0, now)
        for index, (row, seconds) in enumerate(zip(shown, took, strict=True))
    ]


def _bar(row: RunRow, index: int, seconds: float, full: float, now: float) -> Bar:
    height = max(LEAST, round(HEIGHT * min(1.0, seconds / full)))
    state = words.shown_state(row)
    took = f"{'' if row.finished_at else 'so far '}{words.duration(seconds)}"
    return Bar(
        run=row.id,
        x=index * STEP + (STEP - WIDTH) // 2,
        y=HEIGHT - height,
        height=height,
        state=state,
        said=f"{words.state_word(state)}, {took}, {words.age(row.created_at, now)}:"
        f" {row.title or row.event} ({row.pipeline}, {row.commit[:10]})",
        is_cut=seconds > full,
    )
