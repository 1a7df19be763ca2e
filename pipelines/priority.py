"""Priority: which of several Runs that wait for the same thing goes first. Pure.

It orders those that wait, and nothing else: whoever is at work is left alone, and nobody is dropped
for being less important.
"""

from enum import StrEnum


class Priority(StrEnum):
    """The levels, the first to go first. Among equals the order of arrival counts."""

    URGENT = "urgent"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    def goes_before(self, other: "Priority") -> bool:
        """Whether it is more important than the other."""
        return LEVELS.index(self) < LEVELS.index(other)


LEVELS = tuple(Priority)
