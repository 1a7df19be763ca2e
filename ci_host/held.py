"""Held: processes that load their code already, and begin when they are told where the bus is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# For a Runner, in place of the bus's address: it is on the standard input.
TOLD = "-"


class Held:
    """Each reads its standard input to the end before it begins: what is written there is not in
    its environment or its arguments, which others can read."""

    def __init__(self) -> None:
        self._ends: list[int] = []
        self._told: bytes | None = None

    @contextmanager
    def input_of(self) -> Iterator[int]:
        """The standard input of one that is being started."""
        theirs, ours = os.pipe()
        self._ends.append(ours)
        try:
            yield theirs
        finally:
            os.close(theirs)
            if self._told is not None:
                self.release(self._told)

    def release(self, told: bytes) -> None:
        """Tell all; and whoever is started from here on is told at once. Nothing told (no bytes):
        they end, there will be no work."""
        self._told = told
        ends, self._ends = self._ends, []
        for end in ends:
            # One that has died meanwhile is started again.
            with suppress(BrokenPipeError):
                os.write(end, told)
            os.close(end)


def wait_told() -> str:
    """For one that is held: wait for what it is told. Empty: to end."""
    with os.fdopen(os.dup(0), "rb") as told:
        return told.read().decode()
