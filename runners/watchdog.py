"""The watchdog: whether a job uses more memory or disk than it may, as its shim looks now and then.

Here: measuring and comparing. What is done about it is the shim's. Memory is what the job's
processes have for themselves, and what lies in its file systems in memory; files that the kernel
keeps cached are not counted. Standard library only. A job can grow between two looks: this keeps a
machine usable, and is no accounting.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal

from runners.processes import tree_of
from runners.spawn import die_with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MEMORY_EVERY_S = 0.25
DISK_EVERY_S = 3.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# The root itself: of an image, what is written above it.
IN_MEMORY = ("", "tmp", "dev/shm", "home/job")


class Watchdog:
    """Watches one job: the processes `roots` with all below them, and what lies in `folders`."""

    def __init__(self, launch: dict[str, Any], roots: list[int], folders: list[str]) -> None:
        self._memory_max: int = launch.get("memory_bytes", 0)
        self._disk_max: int = launch.get("disk_bytes", 0)
        self._in_memory = [f"/proc/{root}/root/{one}" for root in roots for one in IN_MEMORY]
        if not launch["namespaced"]:
            self._in_memory = []
        self._roots = roots
        self._folders = folders
        self._meter: _Meter | None = None
        self._memory_due = self._disk_due = 0.0

    @property
    def due(self) -> float:
        """When to look next, by the monotonic clock."""
        return min(self._memory_due, self._disk_due)

    def look(self, now: float) -> str:
        """Which limit is passed, in words; empty while none is, or it is not time yet."""
        if now >= self._memory_due:
            self._memory_due = now + MEMORY_EVERY_S
            if self._memory_max and self._memory() > self._memory_max:
                return f"the job used more than its limit of {_shown(self._memory_max)} of memory"
        if now >= self._disk_due:
            used = self._disk(now)
            if self._disk_max and used > self._disk_max:
                return f"the job wrote more than its limit of {_shown(self._disk_max)} to its disk"
        return ""

    def _memory(self) -> int:
        return sum(map(_own_bytes, tree_of(self._roots))) + sum(map(_filled, self._in_memory))

    def _disk(self, now: float) -> int:
        """What was measured since the last look: a large tree takes longer than a shim may wait."""
        if self._meter is None:
            if self._disk_max:
                self._meter = _Meter(self._folders)
            self._disk_due = now + MEMORY_EVERY_S
            return 0
        self._disk_due = now + MEMORY_EVERY_S
        used = self._meter.read()
        if used is None:
            return 0
        self._meter = None
        self._disk_due = now + DISK_EVERY_S
        return used


class _Meter:
    """A process that measures folders, once."""

    def __init__(self, folders: list[str]) -> None:
        self._result, end = os.pipe2(os.O_CLOEXEC)
        keeper = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                die_with(keeper)
                os.nice(10)
                os.write(end, b"%d" % _size_of(folders))
            finally:
                os._exit(0)
        os.close(end)

    def read(self) -> int | None:
        """Bytes on the disk; None while it measures. One that failed has measured nothing."""
        if not select.select([self._result], [], [], 0)[0]:
            return None
        said = os.read(self._result, 32)
        os.close(self._result)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        return int(said or b"0")


def _own_bytes(pid: int) -> int:
    """Resident, and not a file's; of pages that a fork shares each process counts its own."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except OSError:
        return 0
    return max(0, resident - shared) * PAGE_BYTES


def _filled(folder: str) -> int:
    """Bytes in use of a file system in memory."""
    try:
        facts = os.statvfs(folder)
    except OSError:
        return 0
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize


def _size_of(folders: list[str]) -> int:
    """Blocks of everything below, following nothing, each file once."""
    waiting, seen, total = list(folders), set(), 0
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                facts = entry.stat(follow_symlinks=False)
                if facts.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                    if facts.st_ino in seen:
                        continue
                    seen.add(facts.st_ino)
                total += facts.st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return total


def _shown(size: int) -> str:
    return f"{size / 1_073_741_824:.3g} GiB" if size >= 1_073_741_824 else f"{size >> 20} MiB"
