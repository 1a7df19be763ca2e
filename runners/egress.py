"""Egress: the door of a job's network, from the shim's side.

Here: the listening socket inside the job's network namespace, and the proxy process behind it. A
socket belongs to the namespace in which it was made, whoever holds it: so nothing of ours has to
run among the job's processes, and nothing of the host's network is among theirs. The proxy lives
as long as the shim, whatever becomes of the agent; one that dies is started again on the same
socket. Standard library only.
"""

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterable
from typing import Any

from runners import network

PORT = 3128
BACKLOG = 128
PIPE_BYTES = 65_536
DENIED_MAX = 50

_START = (
    "import sys, json; sys.path.insert(0, sys.argv.pop(1)); "
    "from runners.proxy import main; main(json.loads(sys.argv[1]))"
)
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def variables(beside: Iterable[str] = ()) -> dict[str, str]:
    """What tells programs of the proxy; they disagree about capitals. `beside`: hosts that are
    reached without it."""
    here = f"http://127.0.0.1:{PORT}"
    names = {"http_proxy": here, "https_proxy": here, "all_proxy": here}
    names["no_proxy"] = ",".join(("localhost", "127.0.0.1", "::1", *beside))
    return {**{name.upper(): value for name, value in names.items()}, **names}


class Door:
    """An open door: the socket, and the process behind it."""

    def __init__(self, launch: dict[str, Any], init: int) -> None:
        """`init`: a process in the job's network namespace. Raises OSError."""
        self._launch = launch
        # Never full: what is told is little, and a proxy that cannot tell does not wait.
        self._told, self._tells = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._listener = _listen_inside(init)
        self._pid = self._start()

    def keep(self) -> None:
        """Start the process anew where it died."""
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(self._pid, os.WNOHANG)[0] == 0:
                return
        self._pid = self._start()

    def denied(self) -> list[str]:
        """What was not let through, each once: not masked yet. Asked when the job is over."""
        text = b""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._told, PIPE_BYTES):
                text += data
        found = dict.fromkeys(str(json.loads(line)) for line in text.splitlines())
        return list(found)[: DENIED_MAX + 1]

    def _start(self) -> int:
        keeper = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_proxy(keeper)
        return pid

    def _become_proxy(self, keeper: int) -> None:
        try:
            told = {
                **self._launch["egress"],
                "uid": self._launch["uid"],
                "gid": self._launch["gid"],
                "listener": self._listener.fileno(),
                "denied": self._tells,
                "keeper": keeper,
            }
            os.setsid()
            for descriptor in (self._listener.fileno(), self._tells):
                os.set_inheritable(descriptor, True)
            for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            os.chdir("/")
            words = [sys.executable, "-I", "-S", "-c", _START, _ROOT, json.dumps(told)]
            os.execve(sys.executable, words, {})  # noqa: S606  our own words
        finally:
            os._exit(127)


def _listen_inside(init: int) -> socket.socket:
    """A socket that listens on the job's own loopback. Raises OSError."""
    net = network.network_of(init)
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            # Entered by a process that ends at once: there may be no way back.
            theirs.sendmsg(*_made_inside(net))
        finally:
            os._exit(0)
    theirs.close()
    os.close(net)
    said, descriptors, _, _ = socket.recv_fds(ours, 1000, 1)
    ours.close()
    os.waitpid(pid, 0)
    if not descriptors:
        raise OSError(said.decode("utf-8", "replace") or "its maker died")
    return socket.socket(fileno=descriptors[0])


def _made_inside(net: int) -> tuple[list[bytes], list[tuple[int, int, bytes]]]:
    try:
        network.enter(net)
        listener = socket.create_server(("127.0.0.1", PORT), backlog=BACKLOG)
        rights = listener.detach().to_bytes(4, sys.byteorder)
    except OSError as error:
        return [f"it cannot be entered: {error}".encode()], []
    return [b"listening"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
