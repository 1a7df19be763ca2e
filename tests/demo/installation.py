"""Installation: a real `staunch up` that can be killed with -9, all of it, and started again."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

START_TIMEOUT_S = 120.0
PORT_FIRST, PORTS = 20_000, 1_500

T = TypeVar("T")


class Gone(Exception):
    """Something that must happen did not."""


def until(what: str, look: Callable[[], T | None], timeout_s: float = START_TIMEOUT_S) -> T:
    """Look until there is something to see; Gone names `what` if there never is."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise Gone(f"waited {timeout_s:.0f} s in vain for {what}")


def free_port() -> int:
    """A port that nobody has now, and that nobody else is given until it is taken.

    Each worker of pytest has a range of its own, below that of outgoing connections.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = PORT_FIRST + worker * PORTS
    for port in random.sample(range(first, first + PORTS), PORTS):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise Gone(f"no port from {first} on is free")


class Installation:
    """One data directory, and whatever runs from it. `wrapper` is a command that runs the host."""

    def __init__(self, folder: Path, *options: str, wrapper: tuple[str, ...] = ()) -> None:
        self.data = folder / "data"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        # Who wants refs to be compared says so: most look at what webhooks alone bring about.
        self._options = ["--reconcile-s", "0", *options, "--port", str(port)]
        self._wrapper = wrapper
        self._output = folder / "up.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.token = ""

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Until it answers. Raises Gone if it ended."""
        until("the host to be ready", self._is_ready)

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        command = [*self._wrapper, sys.executable, "-m", "ci_host", "up", *self._options]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, env=self._environment()
            )

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise Gone(f"`staunch up` ended: {self._output.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> list[str]:
        """SIGKILL to every process of it, the supervisor first; answers their names.

        The shims of running jobs are nobody's children and stay: that is the point.
        """
        pids = self.pids()
        for pid in pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        until("the killed processes to be gone", lambda: not any(map(_lives, pids.values())))
        return sorted(pids)

    def pids(self) -> dict[str, int]:
        """Its living processes by name, the supervisor first: what running.json says and is true.

        A number there can be that of a process long gone, and somebody else's by now.
        """
        try:
            state = json.loads((self.data / "running.json").read_text())
        except OSError:
            return {}
        found = {"supervisor": state["supervisor"], **state["processes"]}
        mark = f"STAUNCH_DATA={self.data}".encode()
        return {name: pid for name, pid in found.items() if mark in _environment_of(pid)}

    def nats_url(self) -> str:
        """Where its bus is."""
        return str(json.loads((self.data / "running.json").read_text())["nats_url"])

    def has_ended(self) -> bool:
        """Whether the supervisor is gone."""
        return self._process is None or self._process.poll() is not None

    def stop(self) -> int:
        """End it as Ctrl-C does; answers its exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def staunch(self, *arguments: str, token: str = "") -> str:
        """Run a command against it and answer what it printed. Raises Gone if it fails."""
        done = self.command(*arguments, token=token)
        if done.returncode != 0:
            said = done.stderr.strip() or done.stdout.strip()
            raise Gone(f"`staunch {' '.join(arguments)}` failed: {said}")
        return done.stdout

    def ask(self, *arguments: str) -> Any:
        """The same with --json, read."""
        return json.loads(self.staunch(*arguments, "--json"))

    def command(
        self, *arguments: str, token: str = "", given: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command against it, `given` on its standard input, whatever comes of it."""
        return subprocess.run(
            [*self._wrapper, sys.executable, "-m", "ci_host", *arguments],
            capture_output=True,
            text=True,
            input=given,
            env=self._environment() | ({"STAUNCH_TOKEN": token} if token else {}),
        )

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("STAUNCH_")}
        for name in ("STAUNCH_CACHE_DIR", "STAUNCH_HIBERNATE"):
            if name in os.environ:
                kept[name] = os.environ[name]
        return {**kept, "STAUNCH_DATA": str(self.data), "COLUMNS": "110"}


def _environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"
