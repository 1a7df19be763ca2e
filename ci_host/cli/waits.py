"""Waits: what a run waits for, as `staunch show` says it."""

from collections.abc import Iterator
from typing import Any

from ci_host.cli.clock import moment
from ci_host.cli.pasted import pasted

HELP_CHARS_MAX = 120


def inputs_asked(gate: dict[str, Any]) -> Iterator[str]:
    """A gate's inputs in words, each with what its author says of it."""
    # Only here: the authors' package is not needed by any other command.
    from staunch.entered import words

    rules = gate.get("rules", {})
    for name, kind in gate["inputs"].items():
        rule = rules.get(name, {})
        help_ = " ".join(rule.get("help", "").split())
        cut = help_ if len(help_) <= HELP_CHARS_MAX else help_[: HELP_CHARS_MAX - 1] + "…"
        yield words(name, kind, rule) + (f" · {cut}" if cut else "")


def timed_out(run: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The gates that no person but their timeout closed, each with what it came to."""
    for step in run["steps"]:
        if step["kind"] != "gate" or not step["finished_at"]:
            continue
        if step["state"] == "timed_out":
            is_rejected = step["gate"]["on_timeout"] == "reject"
            yield step, f"{step['key']} {'rejected' if is_rejected else 'not opened'}"
        elif step["state"] == "succeeded" and not step["value"]["by"]:
            yield step, f"{step['key']} opened by its timeout"


def waiting_lines(run: dict[str, Any], now: float) -> Iterator[str]:
    """Everything that a run waits for, a line each, with since when and until when."""
    for one in run["waiting"]:
        said = f"waiting for: {' '.join(one['words'].split())}"
        if one["since"] is not None:
            said += f", for {duration(now - one['since'])}"
        if one.get("phase") == "standby":
            said += f": {pasted('shell', run['id'], one['key'])}"
        if one["until"] is not None:
            said += f", until {moment(one['until'])}"
        yield said


def coverage_words(found: dict[str, Any]) -> str:
    """The coverage of a job in a line, beside what the branch had before."""
    said = f"coverage {found['percent']:g} % of {found['lines']:,} lines"
    before = found["before"]
    if before is None:
        return said
    return f"{said}, {found['percent'] - before['percent']:+.2f} since {before['run']}"


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    seconds = max(0, int(seconds))
    for size, unit, below in ((86400, "d", 3600), (3600, "h", 60), (60, "m", 1)):
        if seconds >= size:
            small = {3600: "h", 60: "m", 1: "s"}[below]
            return f"{seconds // size}{unit}{seconds % size // below:02d}{small}"
    return f"{seconds}s"
