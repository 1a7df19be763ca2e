"""RunHistory: a Run Turn by Turn: why each began, what it asked for, what was over with it. Pure.

Few Turns are on a page however many there are; of one of them everything is said, the Steps as they
stood then among it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ci_host.adapters.sql.queries import RunDetail
from ci_host.adapters.sql.tables import AttemptRow, InputRow, StepRow, TurnRow
from ci_host.adapters.sql.turn_parts import Asked, Settled, TurnParts
from ci_host.web.timeline import BROKEN, Mark, marks_of
from ci_host.web.words import input_words

# Turns on one page, and Steps of one state below a Turn.
TURNS_SHOWN = 50
STEPS_SHOWN_MAX = 40
# Of what a line of the list says.
LINE_PARTS = 3

WAITING = frozenset({"gate", "wait", "sleep"})
# What is under way, as a Turn left it.
OPEN = frozenset({"queued", "running", "retrying", "waiting"})


@dataclass(frozen=True, slots=True)
class TurnLine:
    """One Turn in the list. `marks`: the restarts right before it. `took_s`: from the first thing
    that happened until what the Turn decided was durable; None: nobody knows.

    `is_elsewhere`: another engine than the Turn's before it, so the Run was loaded by replay.
    """

    row: TurnRow
    why: tuple[str, ...]
    asked: tuple[str, ...]
    settled: tuple[str, ...]
    more_why: int
    more_asked: int
    more_settled: int
    is_bad: bool
    took_s: float | None
    is_elsewhere: bool
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class StepsThen:
    """The Steps as they stood after a Turn: how many in which state, and some of each of three
    kinds, with their states. `more`: how many are over and not among `over`."""

    counts: Mapping[str, int]
    going: Sequence[tuple[StepRow, str]]
    broken: Sequence[tuple[StepRow, str]]
    over: Sequence[tuple[StepRow, str]]
    more: int


@dataclass(frozen=True, slots=True)
class TurnCard:
    """The Turn of which everything is said. `waited_s`: since the Turn before it; `children`: the
    Runs that Steps called, by key."""

    line: TurnLine
    inputs: Sequence[InputRow]
    asked: Sequence[Asked]
    settled: Sequence[Settled]
    parts: TurnParts
    waited_s: float | None
    steps: StepsThen
    children: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """`first` and `last` are the numbers of the Turns in `lines`, of `count` in all."""

    lines: Sequence[TurnLine]
    card: TurnCard
    first: int
    last: int
    count: int


def window(count: int, turn: int) -> tuple[int, int, int]:
    """(the Turn that is chosen, first and last on its page); `turn` 0 or beyond: the newest."""
    chosen = turn if 0 < turn <= count else count
    first = (chosen - 1) // TURNS_SHOWN * TURNS_SHOWN + 1
    # The newest are not alone on their page because a page before them is full.
    first = max(1, min(first, count - TURNS_SHOWN + 1))
    return chosen, first, min(first + TURNS_SHOWN - 1, count)


def history_page(
    detail: RunDetail, parts: Mapping[int, TurnParts], turn: int
) -> HistoryPage | None:
    """The page on which a Turn is; `parts`: those of its Turns. None: there is no Turn yet."""
    turns = detail.turns
    if not turns:
        return None
    chosen, first, last = window(len(turns), turn)
    inputs = {one.sequence: one for one in detail.inputs}
    marks = list(marks_of(detail))
    lines = [
        _line(turns, number, parts.get(number, TurnParts()), inputs, marks)
        for number in range(first, last + 1)
    ]
    line = lines[chosen - first]
    known = parts.get(chosen, TurnParts())
    before = turns[chosen - 2].at if chosen > 1 else None
    card = TurnCard(
        line=line,
        inputs=[inputs[one] for one in known.consumed if one in inputs],
        asked=known.asked,
        settled=known.settled,
        parts=known,
        waited_s=None if before is None else max(0.0, line.row.at - before),
        steps=steps_then(detail.steps, detail.attempts, line.row),
        children={one.key: one.child for one in detail.steps if one.child},
    )
    return HistoryPage(lines, card, first, last, len(turns))


def _line(
    turns: Sequence[TurnRow],
    number: int,
    parts: TurnParts,
    inputs: Mapping[int, InputRow],
    marks: Sequence[Mark],
) -> TurnLine:
    row = turns[number - 1]
    before = turns[number - 2] if number > 1 else None
    taken = [inputs[one] for one in parts.consumed if one in inputs]
    since = min((one.at for one in taken), default=None)
    knows = row.stored_at is not None and since is not None
    asked = [_key(one.key, one.attempt) for one in parts.asked]
    settled = [f"{_key(one.key, one.attempt)} {one.state}" for one in parts.settled]
    return TurnLine(
        row=row,
        why=tuple(input_words(one.type, one.summary) for one in taken[:LINE_PARTS]),
        asked=tuple(asked[:LINE_PARTS]),
        settled=tuple(settled[:LINE_PARTS]),
        more_why=max(0, row.inputs - LINE_PARTS),
        more_asked=max(0, row.commands - LINE_PARTS),
        more_settled=max(0, row.results - LINE_PARTS),
        is_bad=any(one.state in BROKEN for one in parts.settled) or row.state in BROKEN,
        took_s=max(0.0, row.stored_at - since) if knows else None,  # type: ignore[operator]
        is_elsewhere=before is not None and before.by != row.by,
        marks=tuple(
            one for one in marks if one.at <= row.at and (before is None or one.at > before.at)
        ),
    )


def _key(key: str, attempt: int) -> str:
    return key if attempt == 1 else f"{key} #{attempt}"


def steps_then(
    steps: Sequence[StepRow], attempts: Sequence[AttemptRow], turn: TurnRow
) -> StepsThen:
    """The Steps that were asked for by then, as that Turn left them."""
    tried: dict[str, list[AttemptRow]] = defaultdict(list)
    for one in attempts:
        tried[one.key].append(one)
    stood = [
        (step, _state(step, tried[step.key], turn)) for step in steps if step.turn <= turn.number
    ]
    over = [one for one in stood if one[1] not in OPEN and one[1] not in BROKEN]
    return StepsThen(
        counts=Counter(state for _, state in stood),
        going=list(_some(stood, OPEN)),
        broken=list(_some(stood, BROKEN)),
        over=over[:STEPS_SHOWN_MAX],
        more=len(over[STEPS_SHOWN_MAX:]),
    )


def _some(
    stood: Sequence[tuple[StepRow, str]], states: frozenset[str]
) -> Iterator[tuple[StepRow, str]]:
    found = [one for one in stood if one[1] in states]
    yield from found[:STEPS_SHOWN_MAX]


def _state(step: StepRow, attempts: Sequence[AttemptRow], turn: TurnRow) -> str:
    if step.settled_in is not None and step.settled_in <= turn.number:
        return step.state
    if step.kind in WAITING:
        return "waiting"
    begun = [one for one in attempts if one.queued_at <= turn.at]
    if not begun:
        return "running"
    last = max(begun, key=lambda one: one.attempt)
    if last.finished_at is not None and last.finished_at <= turn.at:
        return "retrying"
    return "running" if last.started_at is not None and last.started_at <= turn.at else "queued"
