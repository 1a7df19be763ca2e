"""Services of a job: their sandboxes beside the job's own, in one network, and their logs.

Here: starting them, asking whether they are ready, noticing that one ended, and what is told of
each. Not here: how a sandbox is built (`launch.json` says it), and the job (`shim`). They die with
the job, as everything that its shim started. Standard library only; jobs with services pay for it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

from runners import job_directory, network, spawn
from runners.job_log import JobLog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runners.masking import Forms

LOG_BYTES_MAX = 67_108_864
# Between questions: soon at first, since many are there in no time.
ASK_S_MIN, ASK_S_MAX = 0.02, 0.2
# For one that nothing is asked of: in that time it may fail to start.
GRACE_S = 0.1
READ_BYTES = 1_048_576
QUOTED_LINES = 20
QUOTED_BYTES = 16_384

STARTING, READY, ENDED, FAILED = "starting", "ready", "ended", "failed"


class Services:
    """All of one job. Its descriptor can be polled: when it is ready, `look`."""

    def __init__(
        self,
        directory: str,
        launch: dict[str, Any],
        looked_for: Forms | None,
        say: Callable[[str], None],
    ) -> None:
        """Start them. `say` writes a line into the job's log. Raises OSError."""
        self._say = say
        self._poll = select.epoll()
        self.net = _network(launch)
        self._services = [
            _Service(directory, launch, one, looked_for, self.net) for one in launch["services"]
        ]
        self._by_descriptor: dict[int, _Service] = {}
        for service in self._services:
            for descriptor in service.descriptors():
                self._watch(descriptor, service)
        for service in self._services:
            service.child.find_init()

    def fileno(self) -> int:
        """For whoever polls."""
        return self._poll.fileno()

    def look(self) -> None:
        """Take what was said, and notice what ended."""
        for descriptor, _ in self._poll.poll(0):
            service = self._by_descriptor[descriptor]
            if service.take(descriptor):
                self._poll.unregister(descriptor)
                os.close(descriptor)
                del self._by_descriptor[descriptor]
            self._tell(service)

    def tick(self, now: float) -> None:
        """Ask those that are not ready, where it is time to."""
        for service in self._services:
            knock = service.ask(now, self.net)
            if knock is not None:
                self._watch(knock, service)
            self._tell(service)

    @property
    def due(self) -> float | None:
        """When to call `tick` next, by the monotonic clock; None: nothing waits."""
        return min((one.due for one in self._services if one.state == STARTING), default=None)

    @property
    def are_ready(self) -> bool:
        """Whether the job may begin: one that ended since is the job's to notice."""
        return all(one.was_ready for one in self._services)

    @property
    def failure(self) -> str:
        """Why the job cannot begin; empty while it still may."""
        return next((one.message for one in self._services if one.state == FAILED), "")

    def inits(self) -> list[int]:
        """The first process of each sandbox that is there."""
        return [one.child.init for one in self._services if one.child.init is not None]

    def close(self) -> None:
        """They are dead: what they said is kept."""
        for service in self._services:
            service.drain()

    def told(self) -> list[dict[str, Any]]:
        """For the exit record."""
        return [service.told() for service in self._services]

    def _watch(self, descriptor: int, service: _Service) -> None:
        self._poll.register(descriptor, select.EPOLLIN)
        self._by_descriptor[descriptor] = service

    def _tell(self, service: _Service) -> None:
        for line in service.news():
            self._say(line)


class _Service:
    """One of them."""

    def __init__(
        self,
        directory: str,
        launch: dict[str, Any],
        own: dict[str, Any],
        looked_for: Forms | None,
        net: int,
    ) -> None:
        self.name: str = own["name"]
        self.state = STARTING
        self.message = ""
        self.was_ready = False
        self._own = own
        self._folder = os.path.join(directory, job_directory.SERVICES, self.name)
        self._log = JobLog(self._folder, LOG_BYTES_MAX, looked_for)
        self._news: list[str] = []
        self._began = time.monotonic()
        self._took_s = 0.0
        self._unready = {"ready"} if own["is_asked"] else set()
        self._unready |= {"port"} if own["port"] else set()
        self._asked: set[str] = set()
        self._next_at = self._began + (0.0 if self._unready else GRACE_S)
        self._pause_s = ASK_S_MIN
        self._knock: tuple[int, int] | None = None
        self._is_drained = False
        self.child = spawn.spawn({**launch, **own}, net)
        self._exit = os.pidfd_open(self.child.pid)

    def descriptors(self) -> list[int]:
        """What can be read once something happened."""
        return [self.child.output, self.child.answers, self._exit]

    def take(self, descriptor: int) -> bool:
        """Take what came on one of them; True where no more will."""
        if descriptor == self._exit:
            self._on_exit()
            return True
        if descriptor == self.child.output:
            self._is_drained = not self._copy()
            return self._is_drained
        if self._knock is not None and descriptor == self._knock[1]:
            self._hear_knock()
            return True
        answers = os.read(self.child.answers, 4096)
        for line in answers.split():
            self._asked.discard("ready")
            if line == b"0":
                self._unready.discard("ready")
        return not answers

    @property
    def due(self) -> float:
        """When to ask next."""
        return self._next_at

    def ask(self, now: float, net: int) -> int | None:
        """Ask anew what is not answered; too late is too late. A further descriptor, or None."""
        if self.state != STARTING:
            return None
        is_asked = self._own["is_asked"] or self._own["port"]
        if not self._unready and (is_asked or now >= self._next_at):
            self._become_ready(now)
        elif now >= self._began + self._own["ready_s"]:
            self._fail(f"was not ready within {self._own['ready_s']:g} s")
        elif now >= self._next_at:
            self._next_at = now + self._pause_s
            self._pause_s = min(ASK_S_MAX, self._pause_s * 2)
            return self._ask_again(net)
        return None

    def _ask_again(self, net: int) -> int | None:
        waiting = self._unready - self._asked
        self._asked |= waiting
        if "ready" in waiting:
            self.child.order(0)
        if "port" not in waiting:
            return None
        self._knock = _knock(net, self._own["port"])
        return self._knock[1]

    def _hear_knock(self) -> None:
        assert self._knock is not None
        pid, answer = self._knock
        if os.read(answer, 1):
            self._unready.discard("port")
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        self._knock = None
        self._asked.discard("port")

    def _become_ready(self, now: float) -> None:
        self.state, self.was_ready = READY, True
        self._took_s = now - self._began
        self._news.append(f"service {self.name}: ready ({self._took_s:.1f} s)")

    def _on_exit(self) -> None:
        self._empty()
        try:
            status = self.child.wait()
        except ChildProcessError:
            # Killed with the job, which has ended: nothing is to be told of it.
            return
        how = f"ended with exit code {status}" if status >= 0 else f"ended by signal {-status}"
        if self.state == STARTING:
            self._fail(f"{how} before it was ready")
        elif self.state == READY:
            self.state, self.message = ENDED, how
            self._news.append(f"service {self.name} {how}")

    def _fail(self, why: str) -> None:
        self.state = FAILED
        self.message = f"service {self.name!r} {why}"
        self._news.append(f"{self.message}; it said last:")
        self._news += [f"{self.name} | {line}" for line in self._last_lines()]

    def _last_lines(self) -> list[str]:
        self._empty()
        with open(os.path.join(self._folder, job_directory.LOG), "rb") as file:
            file.seek(max(0, self._log.bytes - QUOTED_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
        return lines[-QUOTED_LINES:] or ["(nothing)"]

    def _copy(self) -> bool:
        try:
            data = os.read(self.child.output, READ_BYTES)
        except BlockingIOError:
            return True
        self._log.add(data)
        return bool(data)

    def _empty(self) -> None:
        while not self._is_drained and select.select([self.child.output], [], [], 0)[0]:
            if not self._copy():
                return

    def drain(self) -> None:
        """Take all that is there, for the last time."""
        self._empty()
        self._log.end_stream()

    def news(self) -> list[str]:
        """What is to be told of it, once."""
        news, self._news = self._news, []
        return news

    def told(self) -> dict[str, Any]:
        """What became of it."""
        return {
            "name": self.name,
            "state": self.state,
            "message": self.message,
            "image": self._own["image"],
            "seconds": round(self._took_s, 3),
            "log_bytes": self._log.bytes,
        }


def _network(launch: dict[str, Any]) -> int:
    """A network of nothing, held open. Raises OSError."""
    own = launch["network"]
    holder = spawn.spawn({**launch, **own, "arguments": [], "filter": ""})
    try:
        holder.find_init()
        if holder.init is None:
            said = os.read(holder.output, 1000).decode("utf-8", "replace").strip()
            raise OSError(f"a network for its services could not be made: {said}")
        return network.network_of(holder.init)
    finally:
        holder.close_orders()
        holder.wait()


def _knock(net: int, port: int) -> tuple[int, int]:
    """A process that tries the port in that network, and where it answers: a byte, or nothing."""
    answer, end = os.pipe2(os.O_CLOEXEC)
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            spawn.die_with(keeper)
            if network.listens(net, port):
                os.write(end, b"y")
        finally:
            os._exit(0)
    os.close(end)
    return pid, answer
