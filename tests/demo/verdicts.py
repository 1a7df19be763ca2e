"""Verdicts: whether what must hold did hold, each a sentence and the facts behind it."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.demo.forge import Told
from tests.demo.project import LOG_LINES

RUN = "staunch/pipeline"
GATE = f"{RUN}/approve"


@dataclass(frozen=True)
class Verdict:
    """`held` decides; `seen` is what was found."""

    claim: str
    held: bool
    seen: str


def step_results_once(history: dict[str, Any]) -> Verdict:
    """From the history itself, not from a view of it."""
    settled = Counter(
        (result["key"], result.get("attempt", 1))
        for stored in history["turns"]
        for result in stored["turn"].get("results", [])
        if result["state"] != "retrying"
    )
    wanted = {"unit", "lint", "version", "soak", "approve", "deploy"}
    keys = {key for key, _ in settled}
    held = keys == wanted and set(settled.values()) == {1}
    return Verdict("every step has its result exactly once", held, _counted(settled))


def deploy_once(path: Path) -> Verdict:
    """The effect outside the sandbox, counted."""
    lines = path.read_text().splitlines() if path.exists() else []
    return Verdict("the deploy took effect exactly once", len(lines) == 1, f"{lines}")


def log_is_whole(log: str) -> Verdict:
    """Every line of the job that ran through the crash, once and in order."""
    seen = re.findall(r"checked item \d+ of \d+$", log, re.MULTILINE)
    wanted = [f"checked item {number} of {LOG_LINES}" for number in range(1, LOG_LINES + 1)]
    return Verdict("no log line is lost or repeated", seen == wanted, f"{len(seen)} lines")


def statuses_in_order(told: list[Told], commit: str) -> Verdict:
    """Telling the same thing twice in a row is allowed; missing or going back is not."""
    sequence: list[tuple[str, str]] = []
    for one in told:
        step = (one.context, one.state)
        if one.commit == commit and (not sequence or sequence[-1] != step):
            sequence.append(step)
    wanted = [(RUN, "pending"), (GATE, "pending"), (GATE, "success"), (RUN, "success")]
    shown = " > ".join(f"{context.removeprefix(RUN) or 'run'} {s}" for context, s in sequence)
    return Verdict("statuses are complete and in order", sequence == wanted, shown)


def survived(run: dict[str, Any], kills: int) -> Verdict:
    """The timeline shows each restart of each process."""
    starts = Counter(start["role"] for start in run["restarts"])
    held = run["state"] == "succeeded" and all(starts[r] >= kills for r in ("engine", "host"))
    return Verdict(f"the run outlived {kills} kills of everything", held, _counted(starts))


def failure_is_placed(run: dict[str, Any], told: list[Told]) -> Verdict:
    """The second commit fails where its test does."""
    places = [f"{n['file']}:{n['line']}" for a in run["attempts"] for n in a["annotations"]]
    final = [one.state for one in told if one.commit == run["commit"] and one.context == RUN][-1:]
    held = (
        run["state"] == "failed"
        and any(place.startswith("tests/test_cart.py:") for place in places)
        and final == ["failure"]
    )
    return Verdict("the second commit fails, with file and line", held, ", ".join(places))


def _counted(counter: "Counter[Any]") -> str:
    names = [k if isinstance(k, str) else f"{k[0]}" for k in counter]
    return ", ".join(f"{n} {c}x" for n, c in zip(names, counter.values(), strict=True))
