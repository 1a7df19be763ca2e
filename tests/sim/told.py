"""Told: a Run of a story, and what was meant to come of it."""

from dataclasses import dataclass

from pipelines.ids import RunId
from tests.sim.ends import Ends
from tests.sim.plans import Author


@dataclass(slots=True)
class Told:
    """One Run of the simulation, and what its author and the world had in mind.

    `ends` None: it is a child, and what comes of it is its parent's affair.
    """

    run: RunId
    author: Author
    ends: Ends | None
    cancelled: bool = False
    killed: bool = False
    is_rerun: bool = False
    is_fork: bool = False
    of: RunId | None = None
    before: "Told | None" = None

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody cancelled it, or a Run that it continues."""
        return self.cancelled or (self.before is not None and self.before.is_cancelled)

    @property
    def is_killed(self) -> bool:
        """Whether somebody killed it, or a Run that it continues."""
        return self.killed or (self.before is not None and self.before.is_killed)
