"""Held: processes that load their code already, and begin when it is time."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


class Held:
    """Their standard input ends then, which is what they wait for: it holds nothing."""

    def __init__(self) -> None:
        self._ends: list[int] | None = []

    @contextmanager
    def input_of(self) -> Iterator[int]:
        """The standard input of one that is being started."""
        if self._ends is None:
            yield subprocess.DEVNULL
            return
        theirs, ours = os.pipe()
        self._ends.append(ours)
        try:
            yield theirs
        finally:
            os.close(theirs)

    def release(self) -> None:
        """Now; and whoever is started from here on begins at once."""
        ends, self._ends = self._ends or [], None
        for end in ends:
            os.close(end)
