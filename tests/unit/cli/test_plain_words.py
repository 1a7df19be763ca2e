"""What strangers wrote reaches a terminal as text: no escape sequence, no control, no override."""

import ast
import os
import pty
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from ci_host import cli
from ci_host.cli import reading, watch, why
from ci_host.cli.following import Follower
from ci_host.cli.local_gates import LocalGates
from ci_host.cli.plain import escape, plain, plain_line
from tests.unit.cli.run_details import BEGAN, attempt, detail, step, wait

RUN = "1-00000000000000000000"
# Fills the clipboard, clears the screen, says so in 8 bits too, and turns the text around.
ILL = "\x1b]52;c;cm0gLXJmIC8=\x07one\x1b[2J\x9b31m two\x85\u202etxt.exe\u2066 [bold]three[/]\x08"
TAME = "one two  txt.exe  [bold]three[/] "


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("as it is: é 分支 \U0001f6aa", "as it is: é 分支 \U0001f6aa"),
        (ILL, TAME),
        ("a\n\tb\r\n", "a\n\tb \n"),
        ("\x1b[1;31mred\x1b[0m \x1b(B\x1b7", "red "),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x9c", "link"),
        ("\x1bP1$r\x1b\\\x90q\x9c after", " after"),
        # One without an end is no reason to leave out what else was said.
        ("\x1b]0;title\nnext", "\nnext"),
        ("\x1b", " "),
        ("\u2028\u200b\ufeff\ud800", "    "),
    ],
    ids=ascii,
)
def test_it_is_text_and_nothing_that_a_terminal_obeys(text: str, told: str) -> None:
    assert plain(text) == told


def test_a_line_of_a_log_is_as_it_was_last_written_over() -> None:
    assert plain_line("10 %\r50 %\r\x1b[32mdone\x1b[0m\r\n") == "done"


def test_what_looks_like_markup_is_shown_as_it_was_written() -> None:
    console = Console(file=StringIO(), width=200)
    console.print(escape(ILL), soft_wrap=True)
    assert cast(StringIO, console.file).getvalue().strip() == TAME.strip()


def test_every_command_uses_this_and_not_rich_s_own() -> None:
    modules = Path(cli.__file__).parent.glob("*.py")
    own = [
        path.name
        for path in modules
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "rich.markup"
    ]
    assert own == ["plain.py"]


def ill_run() -> dict[str, Any]:
    """A run of which everything that a stranger writes means ill."""
    error = {
        "type": ILL, "message": ILL, "file": "a.py", "line": 1, "traceback": ILL, "step": ILL,
    }  # fmt: skip
    note = {"file": ILL, "line": 1, "message": ILL, "level": "error"}
    gate = {"approvers": [ILL], "inputs": {ILL: "str"}, "rules": {ILL: {"help": ILL}}}
    refused = attempt(
        ILL, state="refused", message=ILL, annotations=[note], denied=[ILL], finished_at=BEGAN
    )
    return detail(
        RUN, repo_name=ILL, pipeline=ILL, ref=ILL, state="failed", finished_at=BEGAN,
        error=error, note={"words": ILL}, given={ILL: ILL}, attempts=[refused],
        steps=[step(ILL, "gate", gate=gate), step(ILL, "wait", error=error, finished_at=BEGAN)],
        history=[{"number": 1, "printed": ILL}], waiting=[wait("signal", ILL, names=[ILL])],
        inputs=[{"at": BEGAN, "type": "signal_sent", "summary": ILL}],
    )  # fmt: skip


class Host:
    """Answers with that run, with a log that is no better."""

    def get(self, _path: str, **_query: object) -> dict[str, Any]:
        return ill_run()

    def text(self, _path: str) -> str:
        return f"first\n{ILL}\n"


def shown(console: Console) -> str:
    said = cast(StringIO, console.file).getvalue()
    ill = sorted({ascii(char) for char in said if not char.isprintable() and char not in "\n\t"})
    assert ill == [], said
    return said


def paper() -> Console:
    return Console(file=StringIO(), width=1_000)


def test_show_shows_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "console", paper())
    reading.print_run(ill_run())
    # The message, the place of a note and what it says, and the traceback among them.
    assert shown(reading.console).count(TAME.strip()) >= 5


def test_what_is_told_of_a_run_as_it_happens_is_text() -> None:
    console = paper()
    Follower(cast(Any, Host()), console, "", lambda *_: None, lambda: None).to_end(RUN)
    said = shown(console)
    # What the plan printed, why the job was refused, its log, the error of a step, and a wait.
    assert said.count("txt.exe") >= 5
    assert f"│ {TAME}" in said


def test_why_shows_text() -> None:
    told = {
        "run": RUN, "state": "failed", "url": "http://host/runs/1", "failure": ill_run()["error"],
        "annotations": [{"file": ILL, "line": 1, "message": ILL}],
        "tests": [{"suite": ILL, "name": ILL, "message": ILL}],
        "job": {"key": ILL, "attempt": 1, "state": "failed", "exit_code": 1}, "log": [ILL],
    }  # fmt: skip
    console = paper()
    for line in why.lines_of(told):
        console.print(line, soft_wrap=True)
    assert shown(console).count("txt.exe") >= 7


def test_watch_says_of_which_run_it_is_in_text() -> None:
    console = paper()
    console.print(watch._heading(ill_run()))
    assert "txt.exe" in shown(console)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where somebody has typed that the gate stays closed."""
    ours, theirs = pty.openpty()
    os.write(ours, b"n\n")
    with os.fdopen(theirs, "r") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield ours
    os.close(ours)


def test_a_gate_asks_in_text(terminal: int, capsys: pytest.CaptureFixture[str]) -> None:
    class Asked(Host):
        url = "http://host"

        def post(self, _path: str, _body: object) -> dict[str, str]:
            return {"secret": "secret", "by": ILL}

    class Alone(LocalGates):
        def _people(self, _gate: dict[str, Any], _count: int) -> Iterator[Any]:
            yield self.client

    gate = {
        "key": ILL, "message": ILL, "approvers": [], "barred": [], "approved_by": [], "needed": 1,
        "inputs": {}, "rules": {},
    }  # fmt: skip
    console = paper()
    Alone(cast(Any, Asked()), console, False, lambda: None).meet(RUN, gate)
    asked = capsys.readouterr().err
    assert [char for char in asked if not char.isprintable() and char not in "\n\t"] == []
    assert f"{TAME}\nopen gate one two" in asked
    assert "txt.exe" in shown(console)
