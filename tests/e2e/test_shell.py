"""`staunch shell` from outside: a real terminal in a real job, and who gets none."""

import fcntl
import os
import pty
import re
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
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.demo.installation import until
from tests.e2e.installed import FILE, Installed, installed, plan

pytestmark = [
    pytest.mark.xdist_group("shell"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

READ_S = 30.0
BROKEN = plan('await step.job("build", run="mkdir made && cd made && exit 9", {more})')
OWN = BROKEN.replace("{more}", 'wait_on_failure="5m", debuggers=["@ops"]')
PLAIN = BROKEN.replace("{more}", "")
SECRET = BROKEN.replace("{more}", 'secrets=["KEY"]')


class Typed:
    """`staunch shell` in a terminal of a test's own."""

    def __init__(self, here: Installed, *words: str, who: str = "") -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
        self._master = master
        environment = {**os.environ, "TERM": "xterm", "STAUNCH_TOKEN": here.people[who]}
        environment["STAUNCH_DATA"] = str(here.installation.data)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ci_host", "shell", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.process.pid, signal.SIGWINCH)

    def until(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + READ_S
        while (found := re.search(pattern, self.shown)) is None:
            assert time.monotonic() < deadline, f"{pattern!r} did not come: {self.shown!r}"
            if select.select([self._master], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self._master, 65_536).decode(errors="replace")
                except OSError:
                    break
        found = re.search(pattern, self.shown)
        assert found, f"{pattern!r} did not come before the end: {self.shown!r}"
        return found

    def end(self) -> int:
        code = self.process.wait(READ_S)
        while select.select([self._master], [], [], 0)[0]:
            try:
                self.shown += os.read(self._master, 65_536).decode(errors="replace")
            except OSError:
                break
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)


@contextmanager
def typed(here: Installed, *words: str, who: str = "") -> Iterator[Typed]:
    """A `staunch shell` that is gone afterwards."""
    opened = Typed(here, *words, who=who)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="module")
def here() -> Iterator[Installed]:
    """An installation of these tests' own: one of them kills its agent."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-shell-"))
    folder.chmod(0o711)
    try:
        with installed(folder) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def standing_by(here: Installed, run: str) -> dict:
    """The record of the Run's job that waits, once it does."""

    def look() -> dict | None:
        found = here.show(run)["waiting"]
        return next((one for one in found if one.get("phase") == "standby"), None)

    return until(f"a job of {run} to wait", look)


def failed(here: Installed, name: str, source: str) -> str:
    """A Run that has failed, whose job did not wait."""
    run = here.run(here.repo(name).pushed({FILE: source}))
    assert here.ended(run)["state"] == "failed"
    return run


def rerun(here: Installed, run: str, who: str = "", wait_s: float = 300) -> str:
    answer = here.call("POST", f"/runs/{run}/rerun", {"wait_s": wait_s}, who=who)
    assert answer.status == 201, answer
    return str(answer.body["run"])


def end_wait(here: Installed, run: str) -> dict:
    job = here.show(run)["attempts"][0]["job"]
    assert here.call("POST", f"/jobs/{job}/shell/end", {}).status == 202
    return here.ended(run)


def test_a_terminal_opens_where_the_step_failed_and_the_run_shows_who_had_it(here):
    run = here.run(here.repo("own").pushed({FILE: OWN}))
    record = standing_by(here, run)
    assert record["until"] - record["since"] == pytest.approx(300, abs=1)
    assert f"staunch shell {run} build" in " ".join(here.staunch("show", run).split())
    assert f"staunch shell {run} build" in here.page(f"/runs/{run}")
    with typed(here, run, who="grace") as shell:
        shell.until("Ctrl-] leaves it")
        shell.type("echo at:$(basename $PWD):$(stty size):$CI\r")
        shell.until("at:workspace:30 90:true")
        shell.resize(40, 120)
        shell.type("sleep 0.2; stty size | tr ' ' x\r")
        shell.until("40x120")
        with typed(here, run, "build", who="linus") as second:
            second.until("grace has a terminal in this job; one at a time can")
            assert second.end() == 0
        shell.type("exit\r")
        shell.until("the shell ended with exit code 0")
        assert shell.end() == 0
    with typed(here, run) as shell:
        shell.type("echo ag''ain\r")
        shell.until("again")
        shell.type("\x1d")
        shell.until("you left")
    detail = end_wait(here, run)
    assert (detail["state"], detail["attempts"][0]["exit_code"]) == ("failed", 9)
    first, refused, second = detail["shells"]
    assert (first["by"], first["key"], first["why"]) == (
        "grace",
        "build",
        "the shell ended with exit code 0",
    )
    assert first["opened_at"] <= refused["opened_at"] <= first["closed_at"]
    assert (refused["by"], second["why"]) == ("linus", "left")
    page = here.page(f"/runs/{run}")
    assert "grace" in page
    assert "shell opened" in here.staunch("show", run)


def test_a_person_can_have_a_run_wait_that_failed_before(here):
    run = rerun(here, failed(here, "again", PLAIN), who="mallory")
    standing_by(here, run)
    with typed(here, run, who="linus") as shell:
        shell.until("linus may not open a terminal in job .*: administrators may")
        assert shell.end() == 1
    with typed(here, run, who="mallory") as shell:
        shell.type("cat /etc/passwd | wc -l\r")
        shell.until(r"\r2\r")
        here.call("POST", f"/runs/{run}/cancel", {"reason": "enough"})
        shell.until("the wait is over: cancelled")
        assert shell.end() == 0
    assert here.ended(run)["state"] == "cancelled"


def test_a_wish_alone_opens_no_terminal_in_a_job_with_secrets(here):
    repo = here.repo("secrets")
    commit = repo.pushed({FILE: SECRET})
    before = here.run(commit)
    here.ended(before)
    repo_id = here.show(before)["repo"]
    value = "correct-horse-battery"
    body = {"name": "KEY", "repo": repo_id, "value": value}
    assert here.call("PUT", "/secrets", body).status in (200, 201)
    run = rerun(here, before, who="grace")
    standing_by(here, run)
    with typed(here, run, who="grace") as shell:
        shell.until("It has secrets, which whoever is in it can read")
        assert shell.end() == 1
    with typed(here, run) as shell:
        shell.type('echo "<$KEY>"\r')
        shell.until(r"<\*\*\*>")
        assert value not in shell.shown
    end_wait(here, run)


def test_the_time_of_the_wait_ends_the_terminal_and_the_job(here):
    run = rerun(here, failed(here, "short", PLAIN), wait_s=4)
    standing_by(here, run)
    with typed(here, run) as shell:
        shell.until(r"\$ ")
        shell.until("the wait is over: its time is up")
        assert shell.end() == 0
    assert here.ended(run)["state"] == "failed"
    with typed(here, run, "build") as shell:
        shell.until("is over, or being ended; a job waits after a failed step if")
        assert shell.end() == 1


def test_an_agent_that_is_killed_cuts_the_terminal_and_the_job_waits_on(here):
    run = rerun(here, failed(here, "killed", PLAIN))
    standing_by(here, run)
    with typed(here, run) as shell:
        shell.until(r"\$ ")
        os.kill(here.installation.pids()["runner"], signal.SIGKILL)
        shell.until("the runner's agent has given no sign of life; the job itself waits on")
        assert shell.end() == 0

    def again() -> bool:
        with typed(here, run) as another:
            another.type("echo ba''ck\r")
            another.until(r"back|does not answer|gave|agent")
            return "back" in another.shown

    until("another terminal", again)
    assert end_wait(here, run)["state"] == "failed"


def test_where_there_is_no_terminal_none_is_opened(here):
    run = failed(here, "none", PLAIN)
    said = here.installation.command("shell", run, "build")
    assert said.returncode == 2
    assert "a terminal can only be opened from one" in said.stderr
