"""Drawing: a Timeline as percentages of a width: rows with bars, and groups of rows. Pure.

Where a point in time is drawn is `time_scale.py`'s. Many rows that are alike are one, in which is
drawn how many of them did what at the same time; those of them that broke stay rows.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ci_host.web.step_groups import StepGroup, groups_of
from ci_host.web.time_scale import Piece, Scale, Tick, Window, scale_of, ticks, whole
from ci_host.web.timeline import BROKEN, PHASE_WORDS, Mark, Phase, Row, Segment, Timeline
from ci_host.web.words import duration, state_word
from ci_host.web.zoom import around

# Bars below this many percent are drawn as marks of a fixed width.
BAR_PERCENT_MIN = 0.5
# A wait says what it is from this width on.
LABEL_PERCENT_MIN = 9.0
LABELS = {
    Phase.QUEUED: "queued", Phase.GATE: "gate", Phase.SIGNAL: "signal", Phase.SLEEPING: "asleep",
    Phase.BACKING_OFF: "backing off", Phase.DECIDING: "engine",
}  # fmt: skip
# From this many rows on, so many that are alike are one.
GROUPED_FROM = 40
ALIKE_MIN = 8
BROKEN_SHOWN_MAX = 5
ALL = "all"
# In how many columns a group is drawn.
COLUMNS = 200


@dataclass(frozen=True, slots=True)
class Bar:
    """One segment. `is_short`: too short for its width to be seen. `label`: written on it."""

    phase: Phase
    x: float
    width: float
    title: str
    outcome: str
    is_short: bool
    is_open: bool
    label: str = ""


@dataclass(frozen=True, slots=True)
class Area:
    """How many of a group were in this phase, as an SVG path over 200 by 100."""

    phase: Phase
    outcome: str
    path: str


@dataclass(frozen=True, slots=True)
class DrawnGroup:
    """Rows that are alike. `counts`: how many are in which state. `is_opened`: they follow."""

    name: str
    size: int
    counts: Mapping[str, int]
    is_opened: bool
    areas: tuple[Area, ...]
    took: str


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """One Step's bars, and how long it took; `zoom`: the part of the Run in which it was.

    `group`: it stands for these, and has no bars. `is_inner`: it is one of a group.
    """

    row: Row
    bars: tuple[Bar, ...]
    took: str
    zoom: Window | None = None
    group: DrawnGroup | None = None
    is_inner: bool = False

    @property
    def said(self) -> str:
        """What it did, in words."""
        return " → ".join(bar.title for bar in self.bars) or "nothing yet"


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything that the template places. `outside`: how many rows had nothing in the window."""

    rows: tuple[DrawnRow, ...]
    ticks: tuple[Tick, ...]
    folds: tuple[Piece, ...]
    marks: tuple[tuple[float, Mark], ...]
    phases: tuple[Phase, ...]
    outcomes: tuple[str, ...]
    outside: int = 0
    has_groups: bool = False


def draw(line: Timeline, window: Window | None = None, opened: Collection[str] = ()) -> Drawing:
    """The Timeline, or a part of it, placed; `opened` groups are shown row by row."""
    scale, part = scale_of(line, window), window or whole(line)
    rows = [row for row in line.rows if window is None or _is_in(row, part)]
    segments = [segment for row in rows for segment in row.segments]
    present = {segment.phase for segment in segments}
    ends = {one.outcome for one in segments if one.phase is Phase.RUNNING and not one.is_open}
    drawn = tuple(_rows(rows, line, scale, part, opened))
    return Drawing(
        rows=drawn,
        ticks=tuple(ticks(scale, line)),
        folds=tuple(piece for piece in scale.pieces if piece.folded),
        marks=tuple(
            (scale.x(mark.at), mark) for mark in line.marks if part.begin <= mark.at <= part.end
        ),
        phases=tuple(phase for phase in Phase if phase in present),
        outcomes=tuple(sorted(ends - {""})),
        outside=len(line.rows) - len(rows),
        has_groups=any(one.group is not None for one in drawn),
    )


def _is_in(row: Row, part: Window) -> bool:
    return any(one.begin <= part.end and one.end >= part.begin for one in row.segments)


def _rows(
    rows: Sequence[Row], line: Timeline, scale: Scale, part: Window, opened: Collection[str]
) -> Iterator[DrawnRow]:
    if len(rows) <= GROUPED_FROM:
        yield from (_row(row, line, scale, part) for row in rows)
        return
    by_key = {row.key: row for row in rows}
    for group in groups_of([row.key for row in rows], ALIKE_MIN):
        members = [by_key[key] for key in group.keys]
        if not group.name:
            yield _row(members[0], line, scale, part)
            continue
        is_opened = group.name in opened or ALL in opened
        yield DrawnRow(
            members[0], (), "", group=_group(group, members, scale, part, is_opened=is_opened)
        )
        broken = [row for row in members if row.state in BROKEN][:BROKEN_SHOWN_MAX]
        for row in members if is_opened else broken:
            yield _row(row, line, scale, part, is_inner=True)


def _row(
    row: Row, line: Timeline, scale: Scale, part: Window, *, is_inner: bool = False
) -> DrawnRow:
    seen = [one for one in row.segments if one.begin <= part.end and one.end >= part.begin]
    bars = tuple(_bar(segment, scale) for segment in seen)
    return DrawnRow(row, bars, _took(row.segments), around(row, line), is_inner=is_inner)


def _took(segments: Sequence[Segment]) -> str:
    return duration(segments[-1].end - segments[0].begin) if segments else ""


def _bar(segment: Segment, scale: Scale) -> Bar:
    x = scale.x(segment.begin)
    width = round(scale.x(segment.end) - x, 3)
    said = [PHASE_WORDS[segment.phase], duration(segment.end - segment.begin), segment.note]
    if segment.phase is Phase.RUNNING and segment.outcome and not segment.is_open:
        said.append(state_word(segment.outcome).lower())
    return Bar(
        phase=segment.phase,
        x=x,
        width=max(width, 0.0),
        title=" · ".join(part for part in said if part),
        outcome=segment.outcome,
        is_short=width < BAR_PERCENT_MIN,
        is_open=segment.is_open,
        label=LABELS.get(segment.phase, "") if width >= LABEL_PERCENT_MIN else "",
    )


def _group(
    group: StepGroup, rows: Sequence[Row], scale: Scale, part: Window, *, is_opened: bool
) -> DrawnGroup:
    segments = [segment for row in rows for segment in row.segments]
    first = min((one.begin for one in segments), default=part.begin)
    last = max((one.end for one in segments), default=part.begin)
    return DrawnGroup(
        name=group.name,
        size=len(rows),
        counts=Counter(row.state for row in rows),
        is_opened=is_opened,
        areas=tuple(_areas(segments, scale, part)),
        took=duration(last - first),
    )


def _areas(segments: Sequence[Segment], scale: Scale, part: Window) -> Iterator[Area]:
    """Stacked, what runs below what waits; the highest column has the whole height."""
    changes: dict[tuple[Phase, str], list[int]] = {}
    for one in segments:
        if one.begin > part.end or one.end < part.begin or one.end <= one.begin:
            continue
        outcome = one.outcome if one.phase is Phase.RUNNING and not one.is_open else ""
        of = changes.setdefault((one.phase, outcome), [0] * (COLUMNS + 2))
        begin = min(int(scale.x(one.begin) * COLUMNS / 100), COLUMNS - 1)
        end = max(begin + 1, min(round(scale.x(one.end) * COLUMNS / 100), COLUMNS))
        of[begin] += 1
        of[end] -= 1
    looks = sorted(changes, key=lambda look: (look[0] is not Phase.RUNNING, look[0], look[1]))
    counts = [list(accumulate(changes[look]))[:COLUMNS] for look in looks]
    highest = max((sum(column) for column in zip(*counts, strict=True)), default=1) or 1
    below = [0] * COLUMNS
    for look, count in zip(looks, counts, strict=True):
        above = [low + more for low, more in zip(below, count, strict=True)]
        yield Area(*look, _path(below, above, highest))
        below = above


def _path(below: Sequence[int], above: Sequence[int], highest: int) -> str:
    """The outline between two stairs, the columns that are equal as one."""

    def stairs(heights: Sequence[int], columns: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        for column in columns:
            yield column, column + 1, 100 - round(heights[column] * 100 / highest)

    parts: list[str] = []
    run: list[int] = []
    for column in range(COLUMNS + 1):
        if column < COLUMNS and above[column] > below[column]:
            run.append(column)
        elif run:
            parts.append(_outline(list(stairs(above, run)), list(stairs(below, run))))
            run = []
    return "".join(parts)


def _outline(upper: Sequence[tuple[int, int, int]], lower: Sequence[tuple[int, int, int]]) -> str:
    path, at = f"M{upper[0][0]} {upper[0][2]}", upper[0][2]
    for begin, _, y in upper[1:]:
        if y != at:
            path, at = f"{path}H{begin}V{y}", y
    path, at = f"{path}H{upper[-1][1]}V{lower[-1][2]}", lower[-1][2]
    for _, end, y in reversed(lower[:-1]):
        if y != at:
            path, at = f"{path}H{end}V{y}", y
    return f"{path}H{lower[0][0]}Z"
