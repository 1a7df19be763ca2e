"""Attempt: one run of a `step.do` body, with dice of its own.

A body's random numbers come from a stream named after the step, so that a body that is not run
again on replay cannot shift anybody else's.
"""

from contextvars import ContextVar
from random import Random


class Attempt:
    """One attempt; `dice` is seeded when first asked for, which most bodies never do."""

    __slots__ = ("_dice", "key", "number", "seed")

    def __init__(self, seed: str, key: str, number: int) -> None:
        self.seed = seed
        self.key = key
        self.number = number
        self._dice: Random | None = None

    @property
    def dice(self) -> Random:
        """The attempt's own random stream."""
        if self._dice is None:
            self._dice = Random(f"{self.seed}/{self.key}/{self.number}")  # noqa: S311
        return self._dice


# The attempt that the running code is the body of. None: it is the plan itself.
CURRENT: ContextVar[Attempt | None] = ContextVar("staunch_attempt", default=None)
