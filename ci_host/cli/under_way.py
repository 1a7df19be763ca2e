"""Under way: what of some runs has not ended, in rows, and how many of them fit. Pure.

Rows are of rich's markup. What a job's log says below its row is the caller's to add.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ci_host.cli.plain import escape
from ci_host.cli.reading import state_text
from ci_host.cli.waits import duration

LINES_MAX = 16
# What stays of a terminal for what is printed above.
LINES_ABOVE = 4
# They are alike; the others are counted.
QUEUED_MAX = 3
# Below the row of a job.
TAIL_LINES_MAX = 3

Detail = Mapping[str, Any]
# What comes first where not everything fits.
RANKS = {"running": 0, "ending": 1, "waiting": 2, "ended": 3, "queued": 4}
COLOURS = {"running": "cyan", "queued": "dim", "ended": "dim"}


@dataclass(frozen=True, slots=True)
class Row:
    """`state`: in a word. `job`: whose log is told below; empty: there is none."""

    depth: int
    state: str
    words: str
    job: str = ""


@dataclass(frozen=True, slots=True)
class Fitting:
    """`tail_lines`: so many of each job's log. `left_out`: what is said of the rest, or empty."""

    rows: Sequence[Row]
    tail_lines: int
    left_out: str = ""


def rows_of(known: Mapping[str, Detail], now: float) -> list[Row]:
    """Of the runs that go on, those below their callers that are waited for there."""
    going = {id_: run for id_, run in known.items() if run["finished_at"] is None}
    waits = [wait for run in going.values() for wait in run["waiting"]]
    called = {wait["run"] for wait in waits if wait["kind"] == "call"}
    tops = [run for id_, run in going.items() if id_ not in called]
    return [row for run in tops for row in _run(run, going, now)]


def fitting(rows: Sequence[Row], height: int) -> Fitting:
    """What can be shown in a terminal that is so high."""
    queued = [number for number, row in enumerate(rows) if row.state == "queued"]
    counted_only = set(queued[QUEUED_MAX:])
    rest = [row for number, row in enumerate(rows) if number in counted_only]
    wanted = [row for number, row in enumerate(rows) if number not in counted_only]
    room = max(2, min(LINES_MAX, height - LINES_ABOVE)) - bool(rest)
    jobs = sum(bool(row.job) for row in wanted)
    if len(wanted) + jobs <= room:
        tail_lines = (room - len(wanted)) // max(1, jobs)
        return Fitting(wanted, min(TAIL_LINES_MAX, tail_lines), _left_out(rest))
    # The last line says how many more there are.
    room -= not rest
    used, count = 0, 0
    while used + 1 + bool(wanted[count].job) <= room:
        used += 1 + bool(wanted[count].job)
        count += 1
    return Fitting(wanted[:count], 1, _left_out([*wanted[count:], *rest]))


def _left_out(rows: Sequence[Row]) -> str:
    counts = Counter(row.state for row in rows)
    if not rows:
        return ""
    if len(counts) == 1:
        return f"… and {len(rows)} more {rows[0].state}"
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    return f"… and {len(rows)} more: {told}"


def _run(run: Detail, going: Mapping[str, Detail], now: float, depth: int = 0) -> Iterator[Row]:
    over = sum(step["finished_at"] is not None for step in run["steps"])
    note = f" · {escape(run['note']['words'])}" if run["note"] else ""
    done = f" · {over} step{'' if over == 1 else 's'} done" if over else ""
    name = f"[bold]{escape(run['pipeline'])}[/]"
    took = duration(now - run["created_at"])
    yield Row(depth, "running", f"{state_text(run['state'])} {name} [dim]{took}{done}{note}[/]")
    attempts = {(one["key"], one["attempt"]): one["job"] for one in run["attempts"]}
    seen: Counter[str] = Counter()
    for wait in sorted(run["waiting"], key=lambda one: RANKS[_state(one)]):
        seen[_state(wait)] += 1
        if seen[_state(wait)] > LINES_MAX:
            # There may be thousands, of which none is shown any more, and each is drawn anew.
            yield Row(depth + 1, _state(wait), "")
        elif wait["kind"] == "job":
            yield _job(wait, attempts.get((wait["key"], wait["attempt"]), ""), now, depth + 1)
        else:
            yield _wait(wait, now, depth + 1)
            if wait["kind"] == "call" and wait["run"] in going:
                yield from _run(going[wait["run"]], going, now, depth + 2)


def _state(wait: Detail) -> str:
    phase = str(wait.get("phase", "waiting"))
    return {"reported": "ended", "standby": "waiting"}.get(phase, phase)


def _job(wait: Detail, job: str, now: float, depth: int) -> Row:
    state = _state(wait)
    if state == "waiting":
        return _wait(wait, now, depth)
    name = escape(wait["key"]) + (f" #{wait['attempt']}" if wait["attempt"] > 1 else "")
    moving = wait.get("moving")
    why = moving["words"] if moving else wait.get("held", "")
    said = _since(wait, now) + (f" · {escape(' '.join(why.split()))}" if why else "")
    words = f"[{COLOURS.get(state, 'yellow')}]{state}[/] {name} [dim]{said}[/]"
    return Row(depth, state, words, job if state in ("running", "ending") else "")


def _wait(wait: Detail, now: float, depth: int) -> Row:
    words = escape(" ".join(wait["words"].split()))
    left = "" if wait["until"] is None else f"{duration(wait['until'] - now)} left"
    said = ", ".join(filter(None, (_since(wait, now), left)))
    return Row(depth, "waiting", f"[yellow]waiting[/] for {words} [dim]{said}[/]")


def _since(wait: Detail, now: float) -> str:
    return "" if wait["since"] is None else duration(now - wait["since"])
