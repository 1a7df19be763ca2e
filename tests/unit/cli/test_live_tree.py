"""The tree of what is under way, as it stands in a terminal: below what is printed, and gone."""

import os
import signal
from io import StringIO
from typing import Any, cast

import pytest
from rich.console import Console

from ci_host.cli.client import ClientError
from ci_host.cli.following import Follower
from ci_host.cli.live_tree import LiveTree
from ci_host.cli.log_tails import AT_ONCE, LINES_MAX, LogTails
from tests.terminal import Terminal
from tests.unit.cli.run_details import BEGAN, attempt, detail, step, wait

RUN = "1-00000000000000000000"
UNIT = attempt("unit")
AT_WORK = wait("job", "unit", attempt=1, phase="running", moving=None, held="")
GATE = wait("gate", "go", words="gate go: 0 of 1 approvals")
GOING = detail(RUN, waiting=[AT_WORK], attempts=[UNIT], steps=[step("unit")])
DONE = detail(
    RUN, state="succeeded", finished_at=BEGAN + 2,
    steps=[step("unit", state="succeeded", finished_at=BEGAN + 2)],
    attempts=[attempt("unit", state="succeeded", finished_at=BEGAN + 2)],
)  # fmt: skip


class Screen(StringIO):
    """A file that says to be a terminal."""

    def __init__(self, *, is_terminal: bool = True) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


class Host:
    """Tells of a run what it is given, one after the other, and of its job's log what it has."""

    def __init__(self, *details: dict[str, Any], log: str = "") -> None:
        self.asked: list[str] = []
        self.log = log.split("\n") if log else []
        self._details = list(details)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        self.asked.append(path)
        if path.endswith("/outline"):
            return {"lines": len(self.log)}
        if path.endswith("/lines"):
            first = query["first"] - 1
            return {"lines": self.log[first : first + query["count"]]}
        if path.endswith("/wait"):
            return {}
        return self._details.pop(0) if len(self._details) > 1 else self._details[0]

    def text(self, _path: str) -> str:
        return "\n".join(self.log)


def console_of(screen: Screen, width: int = 60) -> Console:
    terminal = {"TERM": "xterm-256color"}
    return Console(file=screen, width=width, height=20, emoji=False, _environ=terminal)


def seen(screen: Screen, width: int = 60) -> Terminal:
    terminal = Terminal(width)
    terminal.feed(screen.getvalue())
    return terminal


def followed(host: Host, screen: Screen, at_gate: Any = lambda *_: None) -> None:
    Follower(cast(Any, host), console_of(screen), "", at_gate, lambda: None).to_end(RUN)


def test_it_stands_below_what_is_printed_and_each_of_its_lines_is_one() -> None:
    screen, host = Screen(), Host(log="first\n" + "\x1b[31mwide\x1b[0m " * 30 + "\nlast [b]:100:")
    with LiveTree(console_of(screen), cast(Any, host)) as tree:
        tree.show({RUN: GOING})
        tree.read_logs()
        tree.console.print("x" * 70, soft_wrap=True)
        tree.console.print("[green]y[/]", soft_wrap=True)
        there = seen(screen)
    lines = [line.rstrip() for line in there.lines]
    assert lines[:3] == ["x" * 60, "x" * 10, "y"]
    assert lines[3].startswith("running pipeline")
    assert lines[4].startswith("  running unit")
    assert lines[5:] == [
        "    │ first",
        f"    │ {'wide ' * 10}wid…",
        "    │ last [b]:100:",
    ]
    assert not there.has_cursor
    assert left_of(screen) == ["x" * 60, "x" * 10, "y"]


def left_of(screen: Screen) -> list[str]:
    """What stands there in the end; whoever types next must see what they type."""
    terminal = seen(screen)
    assert terminal.has_cursor
    return [line.rstrip() for line in terminal.lines if line.strip()]


def test_it_goes_away_when_the_run_is_over() -> None:
    screen = Screen()
    followed(Host(GOING, DONE), screen)
    assert "running\x1b[0m unit" in screen.getvalue()
    assert left_of(screen) == ["succeeded unit job 2.00 s"]


@pytest.mark.parametrize("error", [ClientError("the installation has ended"), KeyboardInterrupt()])
def test_it_goes_away_however_it_is_ended(error: BaseException) -> None:
    screen, looks = Screen(), []

    def look() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise error

    follower = Follower(cast(Any, Host(GOING)), console_of(screen), "", lambda *_: None, look)
    with pytest.raises(type(error)):
        follower.to_end(RUN)
    assert "running\x1b[0m unit" in screen.getvalue()
    assert left_of(screen) == []


def test_at_a_gate_whoever_is_asked_has_the_terminal_and_then_it_comes_again() -> None:
    screen, before = Screen(), []

    def at_gate(_run: str, _gate: dict[str, Any]) -> None:
        assert left_of(screen) == []
        before.append(screen.tell())
        screen.write("open gate go? y\n")

    gate = GOING | {"waiting": [AT_WORK, GATE]}
    followed(Host(GOING, gate, gate, DONE), screen, at_gate)
    assert "waiting\x1b[0m for gate go" in screen.getvalue()[before[0] :]
    assert left_of(screen) == ["open gate go? y", "succeeded unit job 2.00 s"]


def test_elsewhere_each_attempt_says_that_it_runs() -> None:
    second = attempt("unit", attempt=2)
    later = GOING | {"attempts": [attempt("unit", state="lost", finished_at=BEGAN), second]}
    screen, host = Screen(is_terminal=False), Host(GOING, later, later, DONE)
    followed(host, screen)
    assert screen.getvalue().splitlines() == [
        "unit: running",
        "lost unit #1 attempt ",
        "unit #2: running",
        "succeeded unit job 2.00 s",
    ]
    assert not [path for path in host.asked if path.endswith("/lines")]


def test_of_an_attempt_that_is_over_by_then_only_the_end_is_told() -> None:
    screen = Screen(is_terminal=False)
    followed(Host(DONE), screen)
    assert screen.getvalue() == "succeeded unit job 2.00 s\n"


@pytest.mark.parametrize(
    ("is_terminal", "environment"),
    [(False, {"FORCE_COLOR": "1"}), (True, {"TERM": "dumb"})],
    ids=["colours-in-a-pipe", "dumb"],
)
def test_what_cannot_draw_gets_lines(is_terminal: bool, environment: dict[str, str]) -> None:
    screen = Screen(is_terminal=is_terminal)
    console = Console(file=screen, width=60, _environ=environment)
    Follower(cast(Any, Host(GOING, DONE)), console, "", lambda *_: None, lambda: None).to_end(RUN)
    assert "\x1b[2K" not in screen.getvalue()
    assert "unit: running" in screen.getvalue()


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_is_read_on_from_where_it_was_read_to_and_not_at_once_again() -> None:
    host, clock = Host(log="1\n2\n3\n4\n5"), Clock()
    tails = LogTails(cast(Any, host), clock)
    tails.look(["a"])
    assert tails.newest("a", 2) == ["4", "5"]
    host.log = [*host.log[:-1], "5 and more", "", "\r\x1b[2K6"]
    tails.look(["a"])
    assert tails.newest("a", 2) == ["4", "5"]
    clock.now += 1
    tails.look(["a"])
    assert tails.newest("a", 3) == ["4", "5 and more", "6"]
    assert [path.rpartition("/")[2] for path in host.asked] == ["outline", "lines", "lines"]


def test_of_a_log_that_grows_fast_only_the_end_is_asked_for() -> None:
    host, clock = Host(log="begin"), Clock()
    tails = LogTails(cast(Any, host), clock)
    tails.look(["a"])
    host.log += [str(number) for number in range(100 * LINES_MAX)]
    for _ in range(2):
        clock.now += 1
        tails.look(["a"])
    assert tails.newest("a", 1) == [str(100 * LINES_MAX - 1)]
    assert len(host.asked) == 5


def test_of_many_logs_a_few_are_read_at_a_time_and_each_has_its_turn() -> None:
    host, clock = Host(log="x"), Clock()
    tails = LogTails(cast(Any, host), clock)
    jobs = [f"job {number}" for number in range(3 * AT_ONCE)]
    for turn in range(1, 4):
        tails.look(jobs)
        assert sum(bool(tails.newest(job, 1)) for job in jobs) == turn * AT_ONCE
        clock.now += 1


def test_a_log_that_cannot_be_read_yet_is_no_reason_to_end() -> None:
    class Busy(Host):
        def get(self, _path: str, **_query: Any) -> dict[str, Any]:
            raise ClientError("come again", status=503)

    tails = LogTails(cast(Any, Busy()))
    tails.look(["a"])
    assert tails.newest("a", 1) == tails.newest("b", 1) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("writes", range(1, 9))
def test_a_signal_that_comes_while_it_is_drawn_leaves_no_part_of_it(
    number: signal.Signals, writes: int
) -> None:
    class Interrupted(Screen):
        """With its n-th write the signal comes."""

        left = writes

        def write(self, text: str) -> int:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), number)
            return super().write(text)

    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    screen = Interrupted()
    later = GOING | {"waiting": [AT_WORK, GATE], "history": [{"number": 1, "printed": "said"}]}
    at_gate = lambda *_: screen.write("asked\n")  # noqa: E731
    with pytest.raises((KeyboardInterrupt, SystemExit)) as ended:
        followed(Host(GOING, later), screen, at_gate)
    if number != signal.SIGINT:
        assert cast(SystemExit, ended.value).code == 128 + number
    assert set(left_of(screen)) <= {"said", "asked"}
    assert [
        signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ] == before
