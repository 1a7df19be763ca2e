"""Rounds: when each Repo is looked at next, and for how long one that fails is let alone. Pure.

Each Repo has a moment of its own in every interval, so that looks are spread over it, whenever it
was registered. One that is new, or whose host process has just started, is looked at soon besides:
webhooks are lost while we are down. How long an interval is, is each Repo's own (`attention.py`).
"""

import hashlib
import heapq
from collections.abc import Iterable, Sequence

# Of those that nobody has looked at in this life.
FIRST_LOOKS_PER_S = 20.0
PAUSE_S_FIRST = 30.0


class Rounds:
    """Times are seconds of a clock that nobody sets; every Repo is in here once."""

    def __init__(self, interval_s: float, began: float) -> None:
        self.interval_s = interval_s
        self._began = began
        self._known: set[str] = set()
        self._next: list[tuple[float, str]] = []
        # When it is due, by Repo: an entry of `_next` with another time is of an earlier plan.
        self._due: dict[str, float] = {}
        # Of those that are being looked at: by when to look again.
        self._wanted: dict[str, float] = {}
        self._first_looks_until = began

    def meet(self, repos: Iterable[str], now: float) -> None:
        """Take in those that are new."""
        for repo in repos:
            if repo not in self._known:
                self._known.add(repo)
                due = max(now, self._first_looks_until)
                self._first_looks_until = due + 1.0 / FIRST_LOOKS_PER_S
                self.at(repo, due)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._known)

    def due(self, now: float) -> Sequence[str]:
        """Those whose time has come; each must be given back with `at` or `again`."""
        found = []
        while self._next and self._next[0][0] <= now:
            due, repo = heapq.heappop(self._next)
            if self._due.get(repo) == due:
                del self._due[repo]
                found.append(repo)
        return found

    def again(self, repo: str, now: float, interval_s: float | None = None) -> float:
        """Give it back: it is looked at when its moment comes. Answers when that is."""
        return self.at(repo, self.moment(repo, now, interval_s))

    def at(self, repo: str, due: float) -> float:
        """Give it back: it is looked at then."""
        due = min(due, self._wanted.pop(repo, due))
        self._due[repo] = due
        heapq.heappush(self._next, (due, repo))
        return due

    def moment(self, repo: str, now: float, interval_s: float | None = None) -> float:
        """When its next one is, in an interval of its own or that of all."""
        interval_s = interval_s or self.interval_s
        share = int.from_bytes(hashlib.sha256(repo.encode()).digest()[:8]) / 2**64
        first = self._began + share * interval_s
        return first + ((now - first) // interval_s + 1) * interval_s

    def no_later(self, repo: str, due: float) -> None:
        """Look at it by then, or before, as is planned; one that is not there is none of ours."""
        planned = self._due.get(repo)
        if planned is not None and due < planned:
            self.at(repo, due)
        elif planned is None and repo in self._known:
            self._wanted[repo] = min(due, self._wanted.get(repo, due))


class Pauses:
    """What failed is let alone, each time twice as long, from `first_s` up to `max_s`."""

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s = first_s
        self._max_s = max_s
        # How often in a row, and until when.
        self._failed: dict[str, tuple[int, float]] = {}

    def failed(self, name: str, now: float) -> float:
        """It did, once more; answers for how many seconds it is let alone."""
        times = self._failed.get(name, (0, 0.0))[0] + 1
        pause = min(self._max_s, self._first_s * 2.0 ** min(times - 1, 20))
        self._failed[name] = (times, now + pause)
        return pause

    def went_well(self, name: str) -> None:
        """All is forgotten."""
        self._failed.pop(name, None)

    def until(self, name: str) -> float:
        """When it may be tried again; long past, if it never failed."""
        return self._failed.get(name, (0, float("-inf")))[1]

    def is_in_doubt(self, name: str) -> bool:
        """Whether the last time failed."""
        return name in self._failed
