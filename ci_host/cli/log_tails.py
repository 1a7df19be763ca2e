"""Log tails: the newest lines of jobs that run, each log read on from where it was read to."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ci_host.cli.client import Client, ClientError
from ci_host.cli.plain import plain_line

KEPT_LINES = 3
# Of a log that has grown by more, what is between is not asked for.
LINES_MAX = 200
# Each log is looked at so seldom, and of many only a few at once: the host has other things to do.
LOOK_S = 1.0
AT_ONCE = 3


@dataclass(slots=True)
class Tail:
    """`count`: so many lines the log had; 0: nobody has looked."""

    job: str
    count: int = 0
    looked_at: float = -math.inf
    newest: list[str] = field(default_factory=list)

    def read(self, client: Client) -> None:
        """Raises ClientError."""
        if self.count == 0:
            self.count = client.get(f"/jobs/{self.job}/log/outline")["lines"]
        # The last line may have been a part of one.
        first = max(1, self.count - KEPT_LINES + 1)
        found = client.get(f"/jobs/{self.job}/log/lines", first=first, count=LINES_MAX)["lines"]
        shown = (plain_line(line) for line in found)
        self.newest = [line for line in shown if line.strip()][-KEPT_LINES:]
        self.count = 0 if len(found) == LINES_MAX else first + len(found) - 1


@dataclass(slots=True)
class LogTails:
    """Of the jobs that are shown; of others nothing is kept."""

    client: Client
    clock: Callable[[], float] = time.monotonic
    _tails: dict[str, Tail] = field(default_factory=dict, init=False)

    def look(self, jobs: Iterable[str]) -> None:
        """Read on in those that were looked at longest ago."""
        self._tails = {job: self._tails.get(job) or Tail(job) for job in jobs}
        now = self.clock()
        due = [one for one in self._tails.values() if now - one.looked_at >= LOOK_S]
        for tail in sorted(due, key=lambda one: one.looked_at)[:AT_ONCE]:
            tail.looked_at = now
            try:
                tail.read(self.client)
            except ClientError:
                # There is none yet, or the host is busy. Whether it is there, others look.
                continue

    def newest(self, job: str, count: int) -> list[str]:
        """As many of its last lines as are known, at most `count`."""
        tail = self._tails.get(job)
        return [] if tail is None else tail.newest[-count:]
