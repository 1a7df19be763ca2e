"""What commands print into a pipe: lines that are whole, however long, for other programs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from ci_host.cli.paper import divide, paper
from tests.unit.cli.run_details import BEGAN, attempt, detail, step

RUN = "1-00000000000000000000"
LONG = " ".join(f"word{number}" for number in range(60))
KEY = f"scope/{'x' * 90}"
ERROR = {
    "type": "StepFailed", "message": LONG, "file": "a.py", "line": 100, "traceback": "",
    "step": KEY,
}  # fmt: skip
NOTE = {"file": "b.py", "line": 9, "message": LONG, "level": "error"}
GATE = {"approvers": ["@ops"], "inputs": {}, "rules": {}}
FAILED = detail(
    RUN, state="failed", finished_at=BEGAN, error=ERROR,
    attempts=[attempt(KEY, state="failed", finished_at=BEGAN, message=LONG, annotations=[NOTE])],
    steps=[step(KEY, state="failed", finished_at=BEGAN), step(f"{KEY}/go", "gate", gate=GATE)],
    inputs=[{"at": BEGAN, "type": "signal_sent", "summary": LONG}],
)  # fmt: skip
TURN = {
    "number": 1, "now": BEGAN, "consumed": list(range(100, 150)), "commands": [], "results": [],
    "state": "running", "by": "engine",
}  # fmt: skip
ANSWERS: dict[str, Any] = {
    f"/api/v1/runs/{RUN}": FAILED,
    f"/api/v1/runs/{RUN}/history": {"turns": [{"turn": TURN}]},
    "/api/v1/runs": {"runs": [FAILED | {"waiting_for": LONG, "finished_at": None}], "next": None},
}


class Host(BaseHTTPRequestHandler):
    """Knows this one run."""

    def do_GET(self) -> None:
        body = json.dumps(ANSWERS[self.path.partition("?")[0]]).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def served() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Host) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def piped(*words: str, **more: str) -> list[str]:
    """The lines that the command prints where nothing says how wide a terminal is."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STAUNCH_") and k != "COLUMNS"}
    with served() as url:
        done = subprocess.run(
            [sys.executable, "-m", "ci_host", *words, "--server", url, "--token", "t"],
            env={**kept, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_run_s_places_commands_and_rows_are_each_in_one_line() -> None:
    lines = piped("show", RUN)
    assert f"a.py:100: {LONG}" in lines
    assert f"  b.py:9: {LONG}" in lines
    assert any(line.endswith(f"staunch approve {RUN} {KEY}/go (@ops)") for line in lines)
    assert any("signal sent" in line and LONG in line for line in lines)
    assert any(LONG in line and "#1 failed" in line for line in lines)


def test_the_rows_of_lists_are_lines() -> None:
    (row,) = (line for line in piped("runs") if RUN in line)
    assert LONG in row
    (row,) = (line for line in piped("history", RUN) if "engine" in line)
    assert ", ".join(str(number) for number in range(100, 150)) in row


def test_whoever_sets_a_width_gets_it() -> None:
    lines = piped("show", RUN, COLUMNS="60")
    rows = [line for line in lines if "│" in line or "─" in line]
    assert rows and max(map(len, rows)) == 60


def test_between_two_runs_stands_a_short_line(capsys: pytest.CaptureFixture[str]) -> None:
    divide(paper(), "the files have changed")
    assert capsys.readouterr().out == "=== the files have changed\n"
