"""The zygote: a process of the agent's that has everything imported, and forks a shim when asked.

Here: waiting for the next job, and what a fork must not take along. Starting Python anew and its
imports take longer than all else that a shim does before its sandbox runs.

Theory of operation. It is single-threaded, holds no job's data, and knows one thing: the agent's
line. A message on it is a job directory with two descriptors: where the shim reads the secrets (so
they are never in the zygote, nor in the shims that it forks later), and where its first half says
its exit code. What is forked closes the line, takes a session of its own, and then is a shim as any
other: it forks once more, and is nobody's child. The end of the line is the end of the zygote, so
it dies with its agent; its shims do not.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys

# So that no shim loads them from a disk that holds a newer release by then, nor waits for them.
from runners import egress as _egress  # noqa: F401
from runners import job_directory, keeper
from runners import services as _services  # noqa: F401
from runners import standby as _standby  # noqa: F401

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

MESSAGE_BYTES_MAX = 8_192
NAME = b"staunch-shim"
PR_SET_NAME = 15
# In /proc/self/stat, counted from behind the name: where the arguments begin and end.
ARG_START, ARG_END = 45, 46


def main(line: int) -> int:
    """Fork a shim for each message, until the line ends."""
    # Nobody waits for the first halves here: they say themselves how they ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    asked = socket.socket(fileno=line)
    while True:
        directory, descriptors, _, _ = socket.recv_fds(asked, MESSAGE_BYTES_MAX, 2)
        if not directory:
            return 0
        with contextlib.suppress(OSError):
            if os.fork() == 0:
                _become_shim(asked, os.fsdecode(directory), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _become_shim(asked: socket.socket, directory: str, secrets: int, reply: int) -> NoReturn:
    code = 1
    try:
        asked.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        errors = os.open(os.path.join(directory, job_directory.SHIM_ERRORS), flags, 0o644)
        for descriptor, number in ((secrets, 0), (errors, 1), (errors, 2)):
            os.dup2(descriptor, number)
        os.close(secrets)
        os.close(errors)
        _be_called(NAME + b"\0" + os.fsencode(directory))
        keeper.keep(directory, reply)
        code = 0
    except BaseException:  # noqa: BLE001  a forked child must never return
        sys.excepthook(*sys.exc_info())
        with contextlib.suppress(OSError):
            os.write(reply, b"1\n")
    finally:
        os._exit(code)


def _be_called(words: bytes) -> None:
    """What a list of processes shows: written over this process's own copy of the arguments."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, NAME, 0, 0, 0)
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    begin, room = int(fields[ARG_START]), int(fields[ARG_END]) - int(fields[ARG_START])
    if begin and room > 0:
        ctypes.memmove(begin, words[: room - 1].ljust(room, b"\0"), room)
