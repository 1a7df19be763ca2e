"""The log of a job, as its shim writes it: what the steps say, and the headers between.

Here: masking before anything is on disk, the limit, and where a line begins. Not here: where the
output comes from (`shim`), and how it is stored (`log_shipper`). Standard library only.
"""

from __future__ import annotations

import os

from runners import job_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runners.masking import Forms, Masker

FIRST_WORDS_CHARS_MAX = 500


class JobLog:
    """One log, append only. `looked_for`: the secrets that must not be in it, or None."""

    def __init__(self, directory: str, bytes_max: int, looked_for: Forms | None) -> None:
        self._path = os.path.join(directory, job_directory.LOG)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self._path, flags, 0o600)
        self._bytes_max = bytes_max
        self._masker = _masker(looked_for)
        self._line_open = False
        self.bytes = 0

    def add(self, output: bytes) -> None:
        """What the job said; the end of it may be held back, as it may begin a secret."""
        self._store(output if self._masker is None else self._masker.feed(output))

    def end_stream(self) -> None:
        """Nothing more belongs to what was said so far: what may have been a secret is known."""
        if self._masker is not None:
            self._store(self._masker.end())

    def header(self, text: str) -> None:
        """A line of the shim's own."""
        line = " ".join(text.splitlines()).encode("utf-8", "replace")
        self._store((b"\n" if self._line_open else b"") + b"=== " + line + b"\n")

    def first_words(self) -> str:
        """How the log begins: of a sandbox that did not start, why."""
        with open(self._path, "rb") as file:
            text = file.read(FIRST_WORDS_CHARS_MAX).decode("utf-8", "replace").strip()
        return text or "it said nothing"

    def sync(self) -> None:
        """All of it survives a power cut."""
        os.fsync(self._file)

    def _store(self, data: bytes) -> None:
        room = self._bytes_max - self.bytes
        if not data or room <= 0:
            return
        if len(data) > room:
            data = data[:room] + b"\n=== the log is full; what follows is dropped\n"
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self.bytes += len(data)
        self._line_open = not data.endswith(b"\n")


def _masker(looked_for: Forms | None) -> Masker | None:
    if looked_for is None:
        return None
    from runners.masking import Masker

    return Masker(looked_for)
