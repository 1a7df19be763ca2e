"""A job that waits after a failed step: terminals in its sandbox, one at a time, and the end."""

import contextlib
import json
import os
import re
import socket
import time
from pathlib import Path

import pytest
from msgspec import structs

from pipelines.trust import Tier
from runners import job_directory
from runners.terminal import HEADER
from tests.executor_bench import Bench, cancel, log_of
from tests.patience import AT_ONCE_S, PATIENCE_S, SHORT_S
from tests.runner_world import kill, make_spec, pids_with, until

# Of this test process alone: others run the same tests beside it.
ME = os.getpid()
pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SIZE = {"by": "ada", "columns": 100, "rows": 40, "term": "xterm"}


class Caller:
    """An agent's end of a terminal, as a test types and reads."""

    def __init__(self, directory: Path) -> None:
        folder = os.open(directory, os.O_RDONLY)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(f"/proc/self/fd/{folder}/{job_directory.SHELL}")
        self._socket.settimeout(PATIENCE_S)
        os.close(folder)
        self._heard = b""
        self.shown = ""
        self.ended: str | None = None

    def say(self, letter: bytes, content: bytes = b"") -> None:
        # What could not be said because the other side hung up, is heard.
        with contextlib.suppress(BrokenPipeError):
            self._socket.sendall(HEADER.pack(letter, len(content)) + content)

    def open(self, **changes) -> "Caller":
        self.say(b"w", json.dumps({**SIZE, **changes}).encode())
        return self

    def type(self, text: str) -> None:
        self.say(b"t", text.encode())

    def hear(self) -> None:
        """One more frame."""
        while len(self._heard) < HEADER.size:
            self._more()
        letter, size = HEADER.unpack_from(self._heard)
        while len(self._heard) < HEADER.size + size:
            self._more()
        content = self._heard[HEADER.size : HEADER.size + size].decode("utf-8", "replace")
        self._heard = self._heard[HEADER.size + size :]
        if letter == b"e":
            self.ended = content
        else:
            self.shown += content

    def _more(self) -> None:
        try:
            data = self._socket.recv(65_536)
        except TimeoutError as error:
            raise AssertionError(f"nothing came after {self.shown!r}") from error
        assert data, f"the line was cut after {self.shown!r}"
        self._heard += data

    def until(self, pattern: str) -> re.Match:
        """Read on until this was shown."""
        while (found := re.search(pattern, self.shown)) is None:
            assert self.ended is None, f"ended with {self.ended!r} after {self.shown!r}"
            self.hear()
        return found

    def end(self) -> str:
        while self.ended is None:
            self.hear()
        return self.ended

    def hang_up(self) -> None:
        self._socket.close()


@pytest.fixture
def dial():
    """How a caller comes to be; all hang up in the end."""
    callers = []

    def made(directory: Path) -> Caller:
        callers.append(Caller(directory))
        return callers[-1]

    yield made
    for caller in callers:
        caller.hang_up()


async def waiting(bench: Bench, *runs: str, wait_s: float = 60.0, **more) -> Path:
    """A job whose last step has failed, and which waits."""
    changes = {"launch": {}, "secrets": None, "tier": Tier.TRUSTED, **more}
    spec = structs.replace(make_spec(None, *runs), wait_s=wait_s, tier=changes["tier"])
    directory = await bench.start(spec, secrets=changes["secrets"], **changes["launch"])
    await until((directory / job_directory.STANDBY).exists, "the wait")
    return directory


async def ended(bench: Bench, directory: Path, dial) -> dict:
    caller = dial(directory)
    caller.say(b"x")
    assert caller.end() == "the wait is over: somebody ended it"
    return await bench.end(directory)


async def test_a_terminal_is_one_where_and_as_the_failed_step_ran(bench, dial):
    directory = await waiting(bench, "mkdir sub; echo kept > sub/file; cd sub; exit 7")
    told = job_directory.read_record(str(directory), job_directory.STANDBY)
    assert (told["exit_code"], told["until"] - told["since"]) == (7, 60.0)
    caller = dial(directory).open()
    caller.type("echo is:$(tty):$TERM:$(stty size):$STAUNCH_ATTEMPT; cat sub/fil*; id -u\r")
    found = caller.until(r"is:(/dev/pts/\d+):xterm:40 100:1\s+kept\s+(\d+)")
    assert int(found[2]) != 0
    caller.say(b"r", b'{"columns": 60, "rows": 20}')
    caller.type("stty size | tr ' ' x\r")
    caller.until("20x60")
    caller.type("exit 3\r")
    assert caller.end() == "the shell ended with exit code 3"
    record = await ended(bench, directory, dial)
    assert (record["outcome"], record["exit_code"]) == ("failed", 7)
    assert "it waits for a terminal until" in log_of(directory)
    assert "staunch shell" in log_of(directory)


async def test_keys_reach_programs_as_signals(bench, dial):
    directory = await waiting(bench, "false")
    caller = dial(directory).open()
    caller.type(f"sleep 600.{ME}; echo after:$?\r")
    caller.until("sleep 600")
    await until(lambda: pids_with(f"sleep\x00600.{ME}"), "the program")
    caller.type("\x03")
    caller.until("\\^C")
    caller.type("echo on:$((40+2))\r")
    caller.until("on:42")
    await ended(bench, directory, dial)


async def test_one_at_a_time_and_another_after_a_hang_up_even_of_a_deaf_program(bench, dial):
    directory = await waiting(bench, "false")
    first = dial(directory).open()
    first.type(f"trap '' HUP TERM; echo de''af; exec sleep 700.{ME}\r")
    first.until("deaf")
    assert dial(directory).open(by="eve").end() == (
        "ada has a terminal in this job; one at a time can"
    )
    await until(lambda: pids_with(f"sleep\x00700.{ME}"), "the program")
    first.hang_up()

    def again() -> Caller | None:
        caller = dial(directory).open(by="eve")
        with contextlib.suppress(AssertionError):
            caller.type("echo h''ere\r")
            caller.until("here")
            return caller
        return None

    await until(again, "another terminal")
    assert pids_with(f"sleep\x00700.{ME}") == []
    await ended(bench, directory, dial)


async def test_what_ran_in_a_terminal_ends_with_the_time_of_the_wait(bench, dial):
    directory = await waiting(bench, "false", wait_s=SHORT_S)
    caller = dial(directory).open()
    caller.type(f"nohup sleep 800.{ME} & echo beg''un\r")
    caller.until("begun")
    assert caller.end() == "the wait is over: its time is up"
    record = await bench.end(directory)
    assert (record["outcome"], record["exit_code"]) == ("failed", 1)
    assert "=== the wait is over: its time is up" in log_of(directory)
    assert pids_with(f"sleep\x00800.{ME}") == []


async def test_a_cancel_ends_the_wait_at_once_and_changes_nothing_of_the_result(bench, dial):
    directory = await waiting(bench, "exit 5")
    caller = dial(directory).open()
    caller.until(r"\$")
    began = time.monotonic()
    cancel(directory, "somebody needs the slot")
    assert caller.end() == "the wait is over: cancelled: somebody needs the slot"
    record = await bench.end(directory)
    assert (record["outcome"], record["exit_code"]) == ("failed", 5)
    assert time.monotonic() - began < AT_ONCE_S


async def test_the_wait_is_no_longer_than_the_jobs_own_time_limit(bench):
    directory = await waiting(bench, "false", launch={"timeout_s": SHORT_S})
    record = await bench.end(directory)
    assert record["outcome"] == "failed"
    assert record["finished_at"] - record["started_at"] < AT_ONCE_S


async def test_a_job_over_its_limits_does_not_wait_on(bench, dial):
    directory = await waiting(bench, "false", launch={"memory_bytes": 64 << 20})
    caller = dial(directory).open()
    caller.type("x=$(head -c 200000000 /dev/zero | tr '\\0' a); sleep 60\r")
    assert "of memory" in caller.end()
    assert (await bench.end(directory))["outcome"] == "failed"


async def test_secrets_are_masked_in_what_a_terminal_shows(bench, dial):
    secret = "correct-horse-battery"
    directory = await waiting(bench, "false", secrets={"TOKEN": secret})
    caller = dial(directory).open()
    caller.type('echo "<$TOKEN>"; echo "<$TOKEN>" | base64\r')
    caller.type("echo do''ne\r")
    caller.until("done")
    assert "<***>" in caller.shown
    assert secret not in caller.shown
    # The prompt, which may have begun one, was shown all the same.
    caller.until(r"\$ $")
    await ended(bench, directory, dial)
    assert secret not in log_of(directory)


async def test_a_flood_is_shown_as_fast_as_somebody_reads_and_held_by_nobody(bench, dial):
    directory = await waiting(bench, "false")
    caller = dial(directory).open()
    caller.type("seq 1 300000; echo fl''ood\r")
    caller.until("flood")
    assert "299999\r\n300000\r\n" in caller.shown
    await ended(bench, directory, dial)


async def test_the_terminal_of_a_sandbox_is_confined_as_its_steps_are(sandbox, dial):
    directory = await waiting(sandbox, "false")
    caller = dial(directory).open()
    caller.type("grep -E 'Seccomp:|NoNewPrivs|CapEff' /proc/self/status; ls /dev/pts; pwd\r")
    caller.until(r"CapEff:\s+0+\s+NoNewPrivs:\s+1\s+Seccomp:\s+2\s+0\s+ptmx\s+/workspace")
    tiocsti = """perl -e '$c = "x"; ioctl(STDIN, 0x5412, $c) or print "refu", "sed: $!\n"'"""
    caller.type(tiocsti + "\r")
    caller.until("refused: Operation not permitted")
    await ended(sandbox, directory, dial)


async def test_who_kills_the_driver_from_a_terminal_ends_the_job(bench, dial):
    directory = await waiting(bench, "exit 4")
    caller = dial(directory).open()
    caller.type("kill -9 $PPID\r")
    assert caller.end() == "the wait is over: the sandbox ended"
    record = await bench.end(directory)
    assert (record["outcome"], record["exit_code"]) == ("failed", 4)


async def test_a_killed_shim_takes_the_terminal_along(bench, dial):
    directory = await waiting(bench, "false")
    caller = dial(directory).open()
    caller.type(f"sleep 900.{ME}\r")
    await until(lambda: pids_with(f"sleep\x00900.{ME}"), "the program")
    kill(job_directory.read_record(str(directory), job_directory.SHIM)["pid"])
    await until(lambda: not pids_with(f"sleep\x00900.{ME}"), "its end")
    assert job_directory.state_of(str(directory)) == job_directory.LOST


@pytest.mark.parametrize("changes", [{"tier": Tier.UNTRUSTED}, {"wait_s": 0.0}])
async def test_a_job_of_a_stranger_or_that_nobody_asked_to_wait_does_not(bench, changes):
    spec = structs.replace(make_spec(None, "false"), wait_s=60.0, tier=Tier.TRUSTED)
    record, log = await bench.run(structs.replace(spec, **changes))
    assert record["outcome"] == "failed"
    assert "terminal" not in log


async def test_a_job_that_succeeds_does_not_wait(bench):
    spec = structs.replace(make_spec(None, "true"), wait_s=60.0, tier=Tier.TRUSTED)
    record, _ = await bench.run(spec)
    assert record["outcome"] == "succeeded"
