"""Whether an agent still looks after a job: what its shim counts, so that none works for nobody.

Here: the rule and its one look at a file. An agent touches its notes (`delivery.json`) every few
seconds; what counts is that their time changes, never what it is, because clocks are set and may
jump. Standard library only, every job pays for it.
"""

import contextlib
import os
from collections.abc import Callable

from runners import job_directory

UNATTENDED_S_MAX = 3600.0


class Attendance:
    """Counts from the last sign of an agent. `clock`: seconds that only ever go forward."""

    def __init__(self, directory: str, limit_s: float, clock: Callable[[], float]) -> None:
        self._notes = os.path.join(directory, job_directory.DELIVERY)
        self._limit_s = limit_s
        self._clock = clock
        self._mark: int | None = None
        self._since = clock()

    def missed(self) -> str:
        """Why the job must end, or nothing while an agent was here lately enough."""
        mark = self._look()
        if mark != self._mark:
            self._mark, self._since = mark, self._clock()
        if self._clock() - self._since < self._limit_s:
            return ""
        return f"no agent has looked after this job for {self._limit_s:g} s"

    def _look(self) -> int | None:
        try:
            return os.stat(self._notes).st_mtime_ns
        except FileNotFoundError:
            return None


def attend(directory: str) -> None:
    """Leave the sign of an agent, however the bus is; a job that is gone needs none."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(os.path.join(directory, job_directory.DELIVERY))
