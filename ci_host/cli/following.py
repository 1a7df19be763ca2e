"""Following: a run as it happens, in a terminal: what ended, was printed, is waited for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from ci_host.cli.client import Client, ClientError, run_path
from ci_host.cli.reading import state_text
from ci_host.cli.waits import duration

LOOK_S_FIRST = 0.1
LOOK_S_MAX = 1.0
LOG_LINES = 20
ENDED_WELL = "succeeded"
# The others are told by their steps, or pass by themselves in a moment.
WORTH_SAYING = frozenset({"signal", "sleep", "timer", "group", "pause", "retry", "nothing"})

Waiting = dict[str, Any]


@dataclass(slots=True)
class Follower:
    """Tells each thing once. `at_gate` is called with each new wait at a Gate; `where` is the
    option by which other commands find the installation; `check_alive` raises if it is gone."""

    client: Client
    console: Console
    where: str
    at_gate: Callable[[str, Waiting], None]
    check_alive: Callable[[], None]
    _told: set[tuple[str, ...]] = field(default_factory=set, init=False)

    def to_end(self, run: str) -> dict[str, Any]:
        """The run in detail, once it is over; its last successor, if it was continued."""
        pause = LOOK_S_FIRST
        while True:
            detail = self._look(run, pause)
            known = len(self._told)
            self._tell(detail)
            pause = LOOK_S_FIRST if len(self._told) > known else min(pause * 1.5, LOOK_S_MAX)
            if detail["continued_as"]:
                run = detail["continued_as"]
                self.console.print(f"continued as [bold]{run}[/]")
            elif detail["finished_at"] is not None:
                return detail

    def _look(self, run: str, pause: float) -> dict[str, Any]:
        """What the host knows by now; one that is being started again is waited for."""
        while True:
            self.check_alive()
            try:
                self.client.get(f"{run_path(run)}/wait", timeout_s=pause)
                detail: dict[str, Any] = self.client.get(run_path(run))
            except ClientError as error:
                if error.exit_code != 3 and error.status != 503:
                    raise
                continue
            return detail

    def _tell(self, run: dict[str, Any]) -> None:
        for turn in run["history"]:
            if turn["printed"] and self._is_new("turn", run, str(turn["number"])):
                self.console.print(f"[dim]{escape(turn['printed'].rstrip())}[/]", highlight=False)
        for kind, one in _ended(run):
            if kind == "attempt" and self._is_new(kind, run, one["job"]):
                self._tell_attempt(one)
            elif kind == "step" and self._is_new(kind, run, one["key"]):
                self._tell_step(one)
        for wait in run["waiting"]:
            if wait["kind"] == "gate" and self._is_new("gate", run, wait["key"]):
                self.at_gate(run["id"], wait)
            elif wait["kind"] in WORTH_SAYING and self._is_new("wait", run, *_identity(wait)):
                self._tell_wait(run["id"], wait)

    def _is_new(self, kind: str, run: dict[str, Any], *words: str) -> bool:
        mark = (kind, run["id"], *words)
        is_new = mark not in self._told
        self._told.add(mark)
        return is_new

    def _tell_step(self, step: dict[str, Any]) -> None:
        took = _precisely(step["finished_at"] - step["started_at"])
        said = f"{state_text(step['state'])} {escape(step['key'])} [dim]{step['kind']}[/] {took}"
        self.console.print(said, highlight=False)
        error = step["error"]
        if error and step["kind"] != "job":
            self.console.print(f"  [red]{escape(error['message'])}[/]", highlight=False)

    def _tell_attempt(self, attempt: dict[str, Any]) -> None:
        """Nothing of one that went well: its step says it."""
        if attempt["state"] == ENDED_WELL:
            return
        name = f"{escape(attempt['key'])} #{attempt['attempt']}"
        said = f"{state_text(attempt['state'])} {name} [dim]attempt[/] {escape(attempt['message'])}"
        self.console.print(said, highlight=False)
        if attempt["state"] == "refused":
            self.console.print("  `staunch doctor` says what this machine lacks", highlight=False)
        for line in self._last_lines(attempt["job"]):
            self.console.print(f"  [dim]│[/] {escape(line)}", highlight=False)

    def _last_lines(self, job: str) -> list[str]:
        try:
            lines = self.client.text(f"/jobs/{job}/log").splitlines()
        except ClientError as error:
            return [f"its log cannot be read: {error}"]
        left_out = len(lines) - LOG_LINES
        first = [f"… {left_out} lines before"] if left_out > 0 else []
        return first + lines[-LOG_LINES:]

    def _tell_wait(self, run: str, wait: Waiting) -> None:
        said = f"waiting for: {' '.join(wait['words'].split())}"
        if wait["until"] is not None:
            until = datetime.fromtimestamp(wait["until"], UTC).astimezone()
            said += f", until {until.strftime('%Y-%m-%d %H:%M:%S')}"
        self.console.print(f"[yellow]{escape(said)}[/]", highlight=False)
        for hint in _hints(run, wait):
            self.console.print(f"  {escape(hint)} {escape(self.where)}", highlight=False)


def _ended(run: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Attempts and steps in the order in which they ended; a step after its last attempt."""
    found = [("attempt", one) for one in run["attempts"]] + [("step", one) for one in run["steps"]]
    over = [(kind, one) for kind, one in found if one["finished_at"] is not None]
    yield from sorted(over, key=lambda pair: pair[1]["finished_at"])


def _identity(wait: Waiting) -> tuple[str, ...]:
    return wait["kind"], wait["key"], str(wait["since"])


def _hints(run: str, wait: Waiting) -> Iterator[str]:
    """What can be done from another terminal."""
    if wait["kind"] == "signal":
        yield from (f"staunch signal {run} {name}" for name in wait["names"])
    elif wait["kind"] == "retry":
        yield f"staunch retry {run} {wait['key']}"
    elif wait["kind"] == "pause":
        yield f"staunch resume {run}"
    elif wait["kind"] == "nothing":
        yield f"staunch cancel {run}"


def _precisely(seconds: float) -> str:
    return f"{max(0.0, seconds):.2f} s" if seconds < 60 else duration(seconds)
