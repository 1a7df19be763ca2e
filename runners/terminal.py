"""A terminal in a job's sandbox, as the shim keeps it: a pty of the job's own, and who looks at it.

Here: opening the pty, the frames to and from the agent, and what is between: masking, and never
more bytes held than somebody takes. Not here: who may have one, and when (`standby`). Standard
library only, and only for a job that waits.

A frame is a letter, a length in four bytes, and its content. The agent says `w`: who it is, as JSON
with `by`, `columns`, `rows`, `term`; `t`: what is typed; `r`: columns and rows; `x`: end the wait.
The shim says `o`: what the terminal shows; `e`: why it is over.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import socket
import stat
import struct
import termios
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from runners.masking import Forms, Masker

HEADER = struct.Struct(">cI")
FRAME_BYTES_MAX = 65_536
HELD_BYTES_MAX = 65_536
READ_BYTES = 16_384
# What may begin a secret is held back until more comes, or until so long nothing did.
QUIET_S = 0.05
PTMX = os.makedev(5, 2)
TIOCGPTN, TIOCSPTLCK, TIOCGPTPEER = 0x80045430, 0x40045431, 0x5441


class Pty:
    """A pseudo terminal of the sandbox's own, so that it has a name there: /dev/pts/<number>."""

    def __init__(self, root: str, owner: tuple[int, int] | None) -> None:
        """`root`: where the sandbox's root is seen; `owner`: the job's user. Raises OSError."""
        flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
        self.master = os.open(f"{root}/dev/pts/ptmx", flags | os.O_NONBLOCK | os.O_NOFOLLOW)
        facts = os.fstat(self.master)
        if not stat.S_ISCHR(facts.st_mode) or facts.st_rdev != PTMX:
            raise OSError(errno.ENOTTY, "its /dev/pts/ptmx is none")
        fcntl.ioctl(self.master, TIOCSPTLCK, struct.pack("i", 0))
        self.number = int(struct.unpack("I", fcntl.ioctl(self.master, TIOCGPTN, bytes(4)))[0])
        # Held, so that the pty outlasts the moment before the job has opened it.
        self.slave = int(fcntl.ioctl(self.master, TIOCGPTPEER, flags))
        if owner is not None:
            os.fchown(self.slave, *owner)

    def resize(self, columns: int, rows: int) -> None:
        """Raises OSError."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        """Hang up: whoever runs in it hears SIGHUP."""
        for descriptor in (self.master, self.slave):
            os.close(descriptor)


class Line:
    """The agent's end of a terminal: frames in, frames out."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.is_open = True
        self._heard = bytearray()
        self._unsent = bytearray()

    def fileno(self) -> int:
        """For polling."""
        return self.connection.fileno()

    def hear(self) -> list[tuple[bytes, bytes]]:
        """The frames that are whole now; afterwards `is_open` says whether more can come."""
        return list(self._frames())

    def _frames(self) -> Iterator[tuple[bytes, bytes]]:
        try:
            data = self.connection.recv(FRAME_BYTES_MAX)
            self.is_open = bool(data)
        except BlockingIOError:
            return
        except OSError:
            self.is_open = False
            return
        self._heard += data
        while len(self._heard) >= HEADER.size:
            letter, size = HEADER.unpack_from(self._heard)
            if size > FRAME_BYTES_MAX:
                self.is_open = False
                return
            end = HEADER.size + size
            if len(self._heard) < end:
                return
            content = bytes(self._heard[HEADER.size : end])
            del self._heard[:end]
            yield letter, content

    def say(self, letter: bytes, content: bytes) -> None:
        """Send it, now or once it can be."""
        self._unsent += HEADER.pack(letter, len(content)) + content
        self.flush()

    def flush(self) -> None:
        """Send what can be sent."""
        try:
            while self._unsent:
                del self._unsent[: self.connection.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self.is_open = False

    @property
    def unsent(self) -> int:
        """So many bytes nobody has taken yet."""
        return len(self._unsent)

    def close(self, why: str = "") -> None:
        """Hang up; what still fits on its way is sent."""
        if why:
            self.say(b"e", why.encode("utf-8", "replace"))
        self.is_open = False
        self.connection.close()


class Terminal:
    """One that is open: between a pty and a line."""

    def __init__(
        self, pty: Pty, line: Line, asked: dict[str, Any], looked_for: Forms | None
    ) -> None:
        self.pty = pty
        self.line = line
        self.by = str(asked.get("by", "somebody"))
        self._masker: Masker | None = None
        if looked_for is not None:
            from runners.masking import Masker

            self._masker = Masker(looked_for)
        self._typed = bytearray()
        self._quiet_at: float | None = None
        self.resize(asked)

    def resize(self, size: dict[str, Any]) -> None:
        """To `columns` and `rows`; what cannot be is left out."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, struct.error):
            self.pty.resize(int(size["columns"]), int(size["rows"]))

    def interests(self) -> dict[int, int]:
        """What to poll for, by descriptor: nothing is read that could not be passed on."""
        line = select.EPOLLIN if len(self._typed) < HELD_BYTES_MAX else 0
        pty = select.EPOLLIN if self.line.unsent < HELD_BYTES_MAX else 0
        return {
            self.line.fileno(): line | (select.EPOLLOUT if self.line.unsent else 0),
            self.pty.master: pty | (select.EPOLLOUT if self._typed else 0),
        }

    @property
    def due(self) -> float | None:
        """When what is held back is to be shown, if nothing more comes."""
        return self._quiet_at

    def type(self, content: bytes) -> None:
        """Have the sandbox read it, now or once it can."""
        self._typed += content
        self.pass_on()

    def pass_on(self) -> None:
        """Write what was typed as far as the terminal takes it."""
        with contextlib.suppress(BlockingIOError, OSError):
            while self._typed:
                del self._typed[: os.write(self.pty.master, self._typed)]

    def show(self) -> bool:
        """Send on what the terminal says now; False where there was nothing."""
        try:
            data = os.read(self.pty.master, READ_BYTES)
        except OSError:
            return False
        if self._masker is None:
            self.line.say(b"o", data)
            return bool(data)
        if shown := self._masker.feed(data):
            self.line.say(b"o", shown)
        self._quiet_at = time.monotonic() + QUIET_S
        return bool(data)

    def show_held(self, now: float) -> None:
        """Nothing more comes for now: what may have begun a secret is known to be none, or cut."""
        if self._masker is None or self._quiet_at is None or now < self._quiet_at:
            return
        self._quiet_at = None
        if shown := self._masker.end():
            self.line.say(b"o", shown)

    def hang_up(self, why: str) -> None:
        """Show the rest, say why, and take the terminal away."""
        while self.line.unsent < HELD_BYTES_MAX and self.show():
            pass
        self.show_held(float("inf"))
        self.line.close(why)
        self.pty.close()


def asked_in(content: bytes) -> dict[str, Any]:
    """What a frame says as JSON; nothing where it is none."""
    try:
        asked = json.loads(content)
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}
