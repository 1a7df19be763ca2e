"""Crash slots: which Runs were inside the guest when their engine died.

A delivery count cannot tell: it accuses every Run that was in flight. A slot is written before the
guest is entered and cleared after it; the page cache keeps it when the process is killed, so there
are at most as many suspects as sandbox threads. No fsync: a machine crash accuses nobody.
"""

import json
import mmap
import os
from pathlib import Path

from pipelines.ids import RunId

SLOT_BYTES = 64
# An engine that was killed from outside leaves suspects too; three times in a row is no accident.
CRASHES_MAX = 3


class CrashSlots:
    """`slots` is the number of sandbox threads. One instance per engine process."""

    def __init__(self, path: Path, slots: int) -> None:
        self._counts_path = path.with_suffix(".json")
        self._counts = _read_counts(self._counts_path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            for run in _left_over(descriptor):
                self._counts[run] = self._counts.get(run, 0) + 1
            os.ftruncate(descriptor, 0)
            os.ftruncate(descriptor, SLOT_BYTES * slots)
            self._map = mmap.mmap(descriptor, SLOT_BYTES * slots)
        finally:
            os.close(descriptor)
        self._save()

    def enter(self, slot: int, run: RunId) -> None:
        """The guest of this Run is about to be entered on this thread."""
        text = run.encode()
        assert len(text) < SLOT_BYTES
        start = slot * SLOT_BYTES
        self._map[start : start + SLOT_BYTES] = text.ljust(SLOT_BYTES, b"\0")

    def leave(self, slot: int, run: RunId) -> None:
        """It came back: whatever it did, it did not kill us."""
        start = slot * SLOT_BYTES
        self._map[start : start + SLOT_BYTES] = bytes(SLOT_BYTES)
        if run in self._counts:
            del self._counts[run]
            self._save()

    def crashes(self, run: RunId) -> int:
        """In how many lives in a row this Run was inside when the engine died."""
        return self._counts.get(run, 0)

    def _save(self) -> None:
        temporary = self._counts_path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self._counts))
        temporary.replace(self._counts_path)


def _left_over(descriptor: int) -> list[RunId]:
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    slots = [content[i : i + SLOT_BYTES] for i in range(0, len(content), SLOT_BYTES)]
    return [RunId(slot.rstrip(b"\0").decode()) for slot in slots if slot.strip(b"\0")]


def _read_counts(path: Path) -> dict[RunId, int]:
    try:
        return {RunId(run): int(count) for run, count in json.loads(path.read_text()).items()}
    except (OSError, ValueError):
        return {}
