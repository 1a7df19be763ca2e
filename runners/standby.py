"""Standby: a job whose step failed waits, so that somebody can open a terminal in its sandbox.

Here: the wait, whom the socket in the job directory lets in (one at a time), and the end of what
ran in a terminal. Not here: who may ask (the host), and the bytes (`terminal`). Whatever is opened
is started by the driver inside, and so is confined as every step is: nothing enters from outside.
Standard library only, and only for a job that waits.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import time

from runners import job_directory
from runners.processes import children_of
from runners.terminal import Line, Pty, Terminal, asked_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runners.masking import Forms
    from runners.spawn import Child

TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}\Z")
# After a hang-up: so long a program may take to end by itself.
HANG_UP_S = 2.0


class Standby:
    """The wait of one job after step number `step`."""

    def __init__(
        self, directory: str, launch: dict[str, Any], child: Child, looked_for: Forms | None
    ) -> None:
        self._directory = directory
        self._hint = launch["wait_hint"]
        self._child = child
        self._looked_for = looked_for
        uid, gid = launch["uid"], launch["gid"]
        self._owner = None if uid is None else (uid, gid)
        self._root = f"/proc/{child.init}/root" if child.init is not None else ""
        self._driver = child.driver
        self._step = 0
        self._listener = _listen(directory)
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)
        self._polled: dict[int, int] = {}
        self._callers: dict[int, Line] = {}
        self._terminal: Terminal | None = None
        self._ending_until: float | None = None
        self._until = float("inf")
        self._is_ended = False

    def begin(self, step: int, name: str, code: int, wait_s: float) -> str:
        """Let it be known; answers what the log is to say of it."""
        self._step = step
        self._until = time.monotonic() + wait_s
        now = time.time()
        told = {"step": name, "exit_code": code, "since": now, "until": now + wait_s}
        job_directory.write_record(self._directory, job_directory.STANDBY, told)
        shown = time.strftime("%H:%M:%S UTC", time.gmtime(now + wait_s))
        return f"it waits for a terminal until {shown}: {self._hint}"

    def over(self, now: float) -> str:
        """Why the wait is to end; empty while it goes on."""
        if self._is_ended:
            return "somebody ended it"
        return "its time is up" if now >= self._until else ""

    def fileno(self) -> int:
        """Readable when there is something to do."""
        return self._poll.fileno()

    @property
    def due(self) -> float:
        """When to be asked again at the latest, by the monotonic clock."""
        dues = [
            self._until,
            self._ending_until,
            None if self._terminal is None else self._terminal.due,
        ]
        return min(due for due in dues if due is not None)

    def turn(self) -> None:
        """Do what can be done now, without waiting for anybody."""
        for descriptor, events in self._poll.poll(0):
            if descriptor == self._listener.fileno():
                self._let_in()
            elif descriptor in self._callers:
                self._hear_caller(descriptor)
            elif self._terminal is not None:
                self._relay(self._terminal, descriptor, events)
        now = time.monotonic()
        if self._terminal is not None:
            self._terminal.show_held(now)
            if not self._terminal.line.is_open:
                self._hang_up("")
        if self._ending_until is not None and now >= self._ending_until:
            self._ending_until = now + HANG_UP_S
            _kill_children(self._driver)
        self._look_for_more()

    def shell_ended(self, code: int) -> None:
        """The driver says that what ran in the terminal is over."""
        self._ending_until = None
        if self._terminal is not None:
            self._hang_up(f"the shell ended with exit code {code}", is_ended=True)

    def close(self, why: str) -> None:
        """The wait is over, for this reason."""
        if self._terminal is not None:
            self._hang_up(why)
        for caller in self._callers.values():
            caller.close(why)
        self._callers.clear()
        self._listener.close()
        self._poll.close()

    # -- who comes

    def _let_in(self) -> None:
        with contextlib.suppress(OSError):
            line = Line(self._listener.accept()[0])
            self._callers[line.fileno()] = line
            self._poll.register(line, select.EPOLLIN)

    def _hear_caller(self, descriptor: int) -> None:
        caller = self._callers[descriptor]
        frames = caller.hear()
        if not frames and caller.is_open:
            return
        self._forget(descriptor)
        letter, content = frames[0] if frames else (b"", b"")
        if letter == b"x":
            self._is_ended = True
            caller.close("the wait is over: somebody ended it")
        elif letter == b"w" and caller.is_open:
            self._open(caller, asked_in(content), frames[1:])
        else:
            caller.close("it must say first who it is")

    def _forget(self, descriptor: int) -> None:
        del self._callers[descriptor]
        self._poll.unregister(descriptor)

    def _open(self, line: Line, asked: dict[str, Any], more: list[tuple[bytes, bytes]]) -> None:
        if self._terminal is not None:
            line.close(f"{self._terminal.by} has a terminal in this job; one at a time can")
            return
        if self._ending_until is not None:
            line.close("the terminal before is just being ended; try again in a moment")
            return
        try:
            pty = Pty(self._root, self._owner)
        except OSError as error:
            line.close(f"the sandbox has no terminal to give: {error}")
            return
        term = str(asked.get("term", ""))
        self._terminal = Terminal(pty, line, asked, self._looked_for)
        line.say(b"o", b"")
        _obey(self._terminal, more)
        self._child.order_shell(self._step, pty.number, term if TERM.match(term) else "dumb")

    # -- the terminal

    def _relay(self, terminal: Terminal, descriptor: int, events: int) -> None:
        if descriptor == terminal.pty.master:
            if events & select.EPOLLOUT:
                terminal.pass_on()
            if events & select.EPOLLIN:
                terminal.show()
            return
        if events & select.EPOLLOUT:
            terminal.line.flush()
        if events & (select.EPOLLIN | select.EPOLLHUP):
            _obey(terminal, terminal.line.hear())

    def _hang_up(self, why: str, *, is_ended: bool = False) -> None:
        terminal = self._terminal
        assert terminal is not None
        for descriptor in list(self._polled):
            self._poll.unregister(descriptor)
        self._polled = {}
        self._terminal = None
        terminal.hang_up(why)
        if not is_ended:
            self._ending_until = time.monotonic() + HANG_UP_S

    def _look_for_more(self) -> None:
        wanted = {} if self._terminal is None else self._terminal.interests()
        for descriptor, events in wanted.items():
            if descriptor not in self._polled:
                self._poll.register(descriptor, events)
            elif self._polled[descriptor] != events:
                self._poll.modify(descriptor, events)
        self._polled = wanted


def _obey(terminal: Terminal, frames: list[tuple[bytes, bytes]]) -> None:
    for letter, content in frames:
        if letter == b"t":
            terminal.type(content)
        elif letter == b"r":
            terminal.resize(asked_in(content))


def _listen(directory: str) -> socket.socket:
    """Only for the agent's own user. By way of a descriptor: a path in a socket may not be long."""
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{job_directory.SHELL}")
    finally:
        os.umask(before)
        os.close(folder)
    listener.listen(8)
    listener.setblocking(False)
    return listener


def _kill_children(parent: int) -> None:
    """A handle first, and a look whether it is still a child: a number may have another owner."""
    for pid in children_of(parent) if parent else []:
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                if pid in children_of(parent):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)
