"""Following: a run as it happens: what ended, was printed, is waited for. What is under way stands
below, on a terminal (`live_tree.py`)."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from ci_host.cli.client import Client, ClientError, run_path
from ci_host.cli.clock import moment
from ci_host.cli.live_tree import LiveTree
from ci_host.cli.pasted import pasted
from ci_host.cli.plain import escape, plain_line
from ci_host.cli.reading import recalled_words, state_text
from ci_host.cli.remedies import remedy_of
from ci_host.cli.waits import duration

LOOK_S_FIRST = 0.1
LOOK_S_MAX = 1.0
LOG_LINES = 20
ENDED_WELL = "succeeded"
# One that has only just been begun.
NOT_THERE = 404
BEGUN_S_MAX = 10.0
# The others are told by their steps, or pass by themselves in a moment.
WORTH_SAYING = frozenset({"signal", "sleep", "timer", "group", "pause", "retry", "nothing"})

Waiting = dict[str, Any]


@dataclass(slots=True)
class Follower:
    """Tells each thing once. `at_gate` is called with each new wait at a Gate; `where` is the
    option by which other commands find the installation; `check_alive` raises if it is gone.

    `command`: whose options decide what jobs may use; empty: those of a host that is there."""

    client: Client
    console: Console
    where: str
    at_gate: Callable[[str, Waiting], None]
    check_alive: Callable[[], None]
    command: str = ""
    _told: set[tuple[str, ...]] = field(default_factory=set, init=False)
    _tree: LiveTree = field(init=False)

    def __post_init__(self) -> None:
        self._tree = LiveTree(self.console, self.client)

    def leave_out_log(self, job: str) -> None:
        """Whoever follows shows the last lines of this one themselves."""
        self._told.add(("log", job))

    def to_end(self, run: str) -> dict[str, Any]:
        """Until the run is over, and all that it called: it in detail, or its last successor."""
        return self.all_to_end([run])[0]

    def all_to_end(self, runs: Sequence[str]) -> list[dict[str, Any]]:
        """Until all of them are over, as `to_end`. What is told of several begins with whose."""
        with self._tree:
            return self._all_to_end(runs)

    def _all_to_end(self, runs: Sequence[str]) -> list[dict[str, Any]]:
        known: dict[str, dict[str, Any]] = {}
        going, pause = list(runs), LOOK_S_FIRST
        alone = runs[0] if len(runs) == 1 else None
        while going:
            told = len(self._told)
            for one in list(going):
                # The wait for news is for the eldest; the others are looked at beside it.
                detail = self._look(one, pause if one == going[0] else 0.0)
                if detail is None:
                    going.remove(one)
                    continue
                known[one] = detail
                self._tree.show(known)
                self._tell(
                    detail, "" if one == alone else f"[dim]{escape(detail['pipeline'])}:[/] "
                )
                going += [other for other in _begun_by(detail) if self._is_new("run", other)]
                if detail["finished_at"] is not None:
                    going.remove(one)
            self._tree.read_logs()
            pause = LOOK_S_FIRST if len(self._told) > told else min(pause * 1.5, LOOK_S_MAX)
        return [_last_of(run, known) for run in runs if run in known]

    def _look(self, run: str, pause: float) -> dict[str, Any] | None:
        """What the host knows by now; one that is being started again is waited for.

        None: a run that was asked for and is not there after all.
        """
        deadline = time.monotonic() + BEGUN_S_MAX
        while True:
            self.check_alive()
            try:
                if pause:
                    self.client.get(f"{run_path(run)}/wait", timeout_s=pause)
                detail: dict[str, Any] = self.client.get(run_path(run))
            except ClientError as error:
                if error.status == NOT_THERE and time.monotonic() > deadline:
                    return None
                if not error.is_away and error.status != NOT_THERE:
                    raise
                time.sleep(LOOK_S_FIRST)
                continue
            return detail

    def _tell(self, run: dict[str, Any], whose: str) -> None:
        for turn in run["history"]:
            if turn["printed"] and self._is_new("turn", run["id"], str(turn["number"])):
                self._say(f"{whose}[dim]{escape(turn['printed'].rstrip())}[/]")
        for kind, one in _ended(run):
            if kind == "attempt" and self._is_new(kind, run["id"], one["job"]):
                self._tell_attempt(one, whose)
            elif kind == "step" and self._is_new(kind, run["id"], one["key"]):
                self._tell_step(one, whose)
        if not self._tree.is_there:
            self._tell_begun(run, whose)
        for wait in run["waiting"]:
            if wait["kind"] == "gate" and self._is_new("gate", run["id"], wait["key"]):
                with self._tree.away():
                    self.at_gate(run["id"], wait)
            elif _is_worth_saying(wait) and self._is_new("wait", run["id"], *_mark(wait)):
                self._tell_wait(run["id"], wait, whose)

    def _tell_begun(self, run: dict[str, Any], whose: str) -> None:
        """Nothing of an attempt that is over by now: how it ended is told."""
        for one in run["attempts"]:
            is_running = one["started_at"] is not None and one["finished_at"] is None
            if is_running and self._is_new("begun", one["job"]):
                number = f" #{one['attempt']}" if one["attempt"] > 1 else ""
                self._say(f"{whose}{escape(one['key'])}{number}: running")

    def _say(self, text: str) -> None:
        self._tree.say(text)

    def _is_new(self, *mark: str) -> bool:
        is_new = mark not in self._told
        self._told.add(mark)
        return is_new

    def _tell_step(self, step: dict[str, Any], whose: str) -> None:
        took = _precisely(step["finished_at"] - step["started_at"])
        name = f"{whose}{state_text(step['state'])} {escape(step['key'])}"
        if step["recalled_from"]:
            took = f"[dim]{recalled_words(step['recalled_from'])}[/]"
        self._say(f"{name} [dim]{step['kind']}[/] {took}")
        error = step["error"]
        if error and step["kind"] != "job":
            self._say(f"  [red]{escape(error['message'])}[/]")

    def _tell_attempt(self, attempt: dict[str, Any], whose: str) -> None:
        """Nothing of one that went well: its step says it."""
        if attempt["state"] == ENDED_WELL:
            return
        name = f"{whose}{state_text(attempt['state'])} {escape(attempt['key'])}"
        self._say(f"{name} #{attempt['attempt']} [dim]attempt[/] {escape(attempt['message'])}")
        if attempt["state"] == "refused" and (do := remedy_of(attempt["message"], self.command)):
            self._say(f"  {escape(do)}")
        if self._is_new("log", attempt["job"]):
            for line in self._last_lines(attempt["job"]):
                self._say(f"  [dim]│[/] {escape(line)}")

    def _last_lines(self, job: str) -> list[str]:
        try:
            text = self.client.text(f"/jobs/{job}/log")
        except ClientError as error:
            return [f"its log cannot be read: {error}"]
        lines = text.removesuffix("\n").split("\n") if text else []
        left_out = len(lines) - LOG_LINES
        first = [f"… {left_out} lines before"] if left_out > 0 else []
        return first + [plain_line(line) for line in lines[-LOG_LINES:]]

    def _tell_wait(self, run: str, wait: Waiting, whose: str) -> None:
        said = f"waiting for: {' '.join(wait['words'].split())}"
        if wait["until"] is not None:
            said += f", until {moment(wait['until'])}"
        self._say(f"{whose}[yellow]{escape(said)}[/]")
        for hint in _hints(run, wait):
            self._say(f"  {escape(hint)} {escape(self.where)}")


def _last_of(run: str, known: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    while known[run]["continued_as"] in known:
        run = known[run]["continued_as"]
    return known[run]


def _begun_by(run: dict[str, Any]) -> list[str]:
    """The runs that it called, and the one that it was continued as."""
    called = [step["child"] for step in run["steps"] if step["child"]]
    return called + ([run["continued_as"]] if run["continued_as"] else [])


def _ended(run: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Attempts and steps in the order in which they ended; a step after its last attempt."""
    found = [("attempt", one) for one in run["attempts"]] + [("step", one) for one in run["steps"]]
    over = [(kind, one) for kind, one in found if one["finished_at"] is not None]
    yield from sorted(over, key=lambda pair: pair[1]["finished_at"])


def _mark(wait: Waiting) -> tuple[str, ...]:
    return wait["kind"], wait["key"], str(wait["since"])


def _is_worth_saying(wait: Waiting) -> bool:
    return wait["kind"] in WORTH_SAYING or wait.get("phase") == "standby"


def _hints(run: str, wait: Waiting) -> Iterator[str]:
    """What can be done from another terminal."""
    if wait["kind"] == "signal":
        yield from (pasted("signal", run, name) for name in wait["names"])
    elif wait["kind"] == "retry":
        yield pasted("retry", run, wait["key"])
    elif wait["kind"] == "pause":
        yield pasted("resume", run)
    elif wait.get("phase") == "standby":
        yield pasted("shell", run, wait["key"])
    elif wait["kind"] == "nothing":
        yield pasted("cancel", run)


def _precisely(seconds: float) -> str:
    return f"{max(0.0, seconds):.2f} s" if seconds < 60 else duration(seconds)
