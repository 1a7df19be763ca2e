"""`staunch run` in a terminal: what is under way stands there while it is, and not later."""

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.installed import FILE, plan
from tests.e2e.test_local_run import Local
from tests.patience import PATIENCE_S
from tests.terminal import Terminal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

ROWS, COLUMNS = 30, 100
WAITS = "echo begun; echo the newest line; until test -e /volumes/told/go; do sleep 0.1; done"
PLAN = f"""
await step.parallel(
    step.job("unit", run="{WAITS}", volumes=["told"]),
    step.gate("go", approvers=["ada"]),
)
await step.job("after", run="true")
"""


class InTerminal:
    """The command, in a terminal that is read as somebody asks what it shows."""

    def __init__(self, local: Local, *options: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        left_out = ("STAUNCH_", "COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
        kept |= {k: v for k, v in os.environ.items() if k == "STAUNCH_CACHE_DIR"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ci_host", "run", str(local.repo.work), *options],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env={**kept, "TMPDIR": str(local.temporary), "TERM": "xterm-256color"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(theirs)
        self._written = b""

    def seen(self) -> Terminal:
        """As it is by now; a sequence of which only a part has come is not shown yet."""
        terminal = Terminal(COLUMNS)
        text = self._written.decode(errors="ignore")
        whole, _, begun = text.rpartition("\x1b")
        terminal.feed(text if any(char.isalpha() for char in begun) else whole)
        return terminal

    def until(self, *words: str) -> Terminal:
        deadline = time.monotonic() + PATIENCE_S
        while not all(map(self.seen().shows, words)):
            assert time.monotonic() < deadline, self.seen().lines
            assert self._read(), f"it ended before it showed {words}: {self.seen().lines}"
        return self.seen()

    def end(self) -> Terminal:
        while self._read():
            pass
        self.process.wait(PATIENCE_S)
        os.close(self._ours)
        return self.seen()

    def _read(self) -> bool:
        """Whether more may come."""
        with suppress(OSError):
            if not select.select([self._ours], [], [], 1.0)[0]:
                return True
            more = os.read(self._ours, 65_536)
            self._written += more
            return bool(more)
        return False


@pytest.fixture
def local() -> Iterator[Local]:
    folder = Path(tempfile.mkdtemp(prefix="staunch-local-"))
    # Jobs run as users of their own, who must be able to reach what is theirs.
    folder.chmod(0o711)
    (folder / "told").mkdir()
    (folder / "told").chmod(0o777)
    found = Local(folder)
    found.repo.write({FILE: plan(PLAN)})
    yield found
    shutil.rmtree(folder, ignore_errors=True)


def test_steps_that_run_stand_there_with_their_logs_until_they_have_ended(local: Local) -> None:
    told = local.folder / "told"
    shown = InTerminal(local, "--yes", "--volume", f"told={told}")
    there = shown.until("  running unit ", "    │ the newest line", "running pipeline ")
    assert there.shows("succeeded go gate")
    assert not there.has_cursor
    (told / "go").touch()
    terminal = shown.end()
    assert shown.process.returncode == 0
    assert terminal.shows("succeeded unit job")
    assert terminal.shows("succeeded after job")
    # Neither the tree nor an empty line where it was.
    assert not terminal.shows("running")
    assert not terminal.shows("the newest line")
    assert "" not in [line.strip() for line in terminal.lines[:-1]]
    assert terminal.has_cursor


def test_ctrl_c_leaves_what_was_printed_and_nothing_else(local: Local) -> None:
    # What a gate waits for stands there too, where nobody can be asked.
    shown = InTerminal(local, "--volume", f"told={local.folder / 'told'}")
    shown.until("  running unit ", "  waiting for gate go", "staunch approve")
    shown.process.send_signal(signal.SIGINT)
    terminal = shown.end()
    assert shown.process.returncode == 130
    assert terminal.shows("staunch: interrupted; what it had started has ended")
    assert not terminal.shows("running")
    assert terminal.has_cursor
    assert local.left() == []
