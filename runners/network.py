"""Networks of sandboxes, by a descriptor of their namespace: entering one, and asking in it.

Here: nothing but that. A namespace lives as long as somebody has it open. Standard library only.
"""

from __future__ import annotations

import ctypes
import fcntl
import os

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
NS_GET_USERNS = 0xB701
CONNECT_S = 1.0

_libc = ctypes.CDLL(None, use_errno=True)


def network_of(pid: int) -> int:
    """The network that a process is in, held open. Raises OSError."""
    return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter(network: int) -> None:
    """For good: there may be no way back. Raises OSError."""
    try:
        _setns(network, CLONE_NEWNET)
    except PermissionError:
        # Not root: first into the user namespace that the network belongs to, which is this
        # user's own.
        _setns(fcntl.ioctl(network, NS_GET_USERNS), CLONE_NEWUSER)
        _setns(network, CLONE_NEWNET)


def listens(network: int, port: int) -> bool:
    """Whether something takes connections there. Enters the network."""
    # Few jobs ask: the others do not wait for its import.
    import socket

    try:
        enter(network)
        socket.create_connection(("127.0.0.1", port), CONNECT_S).close()
    except OSError:
        return False
    return True


def _setns(descriptor: int, kind: int) -> None:
    if _libc.setns(descriptor, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
