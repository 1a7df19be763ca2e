"""Processes as the kernel shows them: who is below whom, and in which namespace.

Here: reading /proc. Who has gone in between is passed over. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator


def children_of(pid: int) -> list[int]:
    """The oldest first: those that lost their parents come behind it."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    return found


def tree_of(roots: Iterable[int]) -> Iterator[int]:
    """Processes and all below them; orphans of a namespace are below its first process."""
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children_of(pid)


def first_of_inner(pid: int) -> int | None:
    """Below a process, the first of the namespace of processes that lies two further in."""
    depth = len(_numbers_of(pid)) + 2
    for below in tree_of([pid]):
        numbers = _numbers_of(below)
        if len(numbers) == depth and numbers[-1] == "1":
            return below
    return None


def _numbers_of(pid: int) -> list[str]:
    """What a process is called in each namespace that it is in, the outermost first."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("NSpid:"):
                return line.split()[1:]
    return []
