"""AttemptsBeside: the logs of two Attempts of a job beside each other, as far as a page can show.

Lines are matched by what they say without their digits, since times and sizes differ anyway. What
both have is folded where it is long; what one alone has stands beside a gap. Bounded: of each log
some of the last lines, up to a little behind the one that says why it failed.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from ci_host.adapters.sql.tables import AttemptRow
from ci_host.api.log_blocks import extent, lines_of
from ci_host.api.log_reading import failing_line
from ci_host.api.log_tail import plain_lines
from ci_host.api.services import Services
from pipelines.ids import JobId

# Of each log.
LINES_MAX = 400
BEHIND_FAILURE = 50
# So many lines that both have are one line that opens.
FOLDED_FROM = 6
# Of a line that is longer the rest is not compared.
LINE_CHARS_MAX = 500

_DIGITS = re.compile(r"\d+")

Numbered = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Side:
    """The part of one Attempt's log that is compared: `first` is the number of its first line, of
    `total` lines; `failing` the number of the line that says why it failed."""

    row: AttemptRow
    lines: Sequence[str]
    first: int
    total: int
    failing: int | None

    @property
    def last(self) -> int:
        """The number of its last line."""
        return self.first + len(self.lines) - 1


@dataclass(frozen=True, slots=True)
class Stretch:
    """Lines that belong together. `is_same`: both say the same, and `right` is as `left`."""

    is_same: bool
    left: Sequence[Numbered]
    right: Sequence[Numbered]

    @property
    def is_folded(self) -> bool:
        """Whether it is shown when somebody asks for it."""
        return self.is_same and len(self.left) >= FOLDED_FROM


@dataclass(frozen=True, slots=True)
class Beside:
    """Two Attempts, the earlier on the left."""

    left: Side
    right: Side
    stretches: Sequence[Stretch]


def other_attempt(
    attempts: Sequence[AttemptRow], chosen: AttemptRow | None, beside: int
) -> AttemptRow | None:
    """The Attempt of the same job that an address puts beside the chosen one, if it is another."""
    if chosen is None or not beside or beside == chosen.attempt:
        return None
    same = (one for one in attempts if one.key == chosen.key and one.attempt == beside)
    return next(same, None)


async def beside(here: Services, one: AttemptRow, other: AttemptRow) -> Beside:
    """Both, compared. Raises Unavailable."""
    first, second = sorted((one, other), key=lambda row: row.attempt)
    left, right = await _side(here, first), await _side(here, second)
    return Beside(left, right, await asyncio.to_thread(compared, left, right))


async def _side(here: Services, row: AttemptRow) -> Side:
    job = JobId(row.job)
    found = await extent(here, job)
    failing = await failing_line(here, row, job, found)
    end = found.lines if failing is None else min(found.lines, failing + BEHIND_FAILURE)
    begin = max(0, end - LINES_MAX)
    raw = await lines_of(here, job, begin, end - begin) if end > begin else []
    lines = [line[:LINE_CHARS_MAX] for line in plain_lines("\n".join(raw))]
    return Side(row, lines, begin + 1, found.lines, failing)


def compared(left: Side, right: Side) -> list[Stretch]:
    """The stretches in order; every line of both is in one of them, once."""
    a, b = ([_DIGITS.sub("0", line) for line in side.lines] for side in (left, right))
    stretches: list[Stretch] = []
    for kind, a1, a2, b1, b2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        ours = [(left.first + n, left.lines[n]) for n in range(a1, a2)]
        theirs = [(right.first + n, right.lines[n]) for n in range(b1, b2)]
        if kind == "equal":
            stretches += _by_sameness(ours, theirs)
        else:
            stretches.append(Stretch(False, ours, theirs))
    return stretches


def _by_sameness(ours: Sequence[Numbered], theirs: Sequence[Numbered]) -> Iterator[Stretch]:
    """Lines that match, cut where they begin or end to be the very same."""
    begin = 0
    same = [a[1] == b[1] for a, b in zip(ours, theirs, strict=True)]
    for at in range(1, len(same) + 1):
        if at == len(same) or same[at] != same[begin]:
            yield Stretch(same[begin], ours[begin:at], theirs[begin:at])
            begin = at
