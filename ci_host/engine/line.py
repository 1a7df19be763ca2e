"""Line: the jobs that wait for Runners, which of them goes next, and why the others do not. Pure.

Theory of operation. The most important goes first. Among equals the Repo goes first that has the
fewest jobs with the Runners of the pool, then the one whose turn is longest ago, then whose offer
is oldest. What is released counts towards the limits until it is over. A pool is given twice as
many jobs as it has slots, so that a slot that becomes free finds one; only what is at least as
important counts for that, so an urgent job never waits behind others.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

from ci_host.line_ports import JobLimit, Ticket
from pipelines.ids import JobId
from pipelines.priority import LEVELS, Priority

# With Runners, for each slot: one at work, and one that is there when it is done.
RELEASED_PER_SLOT = 2


@dataclass(frozen=True, slots=True)
class Held:
    """Why a job waits: `before` others go first, as far as is known; `words` say it all.

    `by`: the limit that holds it, `pool` or `repo`, or nothing but the slots that there are.
    `pool`: where it will run.
    """

    words: str
    before: int
    by: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How much a pool has to do: jobs that wait for their turn, and those with its Runners."""

    pool: str
    waiting: int
    at_runners: int
    slots: int
    limit: int | None = None


@dataclass(slots=True)
class _Queue:
    """The offers of one pool and priority: by Repo, each in the order of arrival."""

    repos: dict[str, dict[JobId, Ticket]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.repos.values()))


class Line:
    """The books of who waits and who was released. Nothing here waits, or knows the time."""

    def __init__(
        self, slots: Mapping[str, int] | None = None, limits: Iterable[JobLimit] = ()
    ) -> None:
        self.slots: Mapping[str, int] = slots or {}
        self._pool_limits: dict[str, JobLimit] = {}
        self._repo_limits: dict[str, JobLimit] = {}
        for limit in limits:
            self.limit(limit)
        self._offers: dict[JobId, Ticket] = {}
        self._queues: dict[tuple[str, Priority], _Queue] = {}
        self._released: dict[int, Ticket] = {}
        self._places: dict[JobId, int] = {}
        # How many are released, by what the decisions ask for.
        self._of_level: Counter[tuple[str, Priority]] = Counter()
        self._of_pool: Counter[str] = Counter()
        self._of_repo: Counter[str] = Counter()
        self._shares: Counter[tuple[str, str]] = Counter()
        self._turns: dict[tuple[str, str], int] = {}
        self._clock = count(1)

    # -- what happens

    def limit(self, limit: JobLimit) -> None:
        """Set or remove one."""
        limits, name = (
            (self._pool_limits, limit.pool) if limit.pool else (self._repo_limits, limit.repo)
        )
        if limit.at_once is None:
            limits.pop(name, None)
        else:
            limits[name] = limit

    def offer(self, ticket: Ticket) -> bool:
        """It waits from now on; False where it is known already, as waiting or as released."""
        if ticket.job in self._offers or ticket.job in self._places:
            return False
        self._offers[ticket.job] = ticket
        queue = self._queues.setdefault((ticket.pool, ticket.level), _Queue())
        queue.repos.setdefault(ticket.repo, {})[ticket.job] = ticket
        return True

    def drop(self, job: JobId) -> None:
        """It waits no longer; no error where it did not."""
        ticket = self._offers.pop(job, None)
        if ticket is None:
            return
        at = (ticket.pool, ticket.level)
        queue = self._queues[at]
        del queue.repos[ticket.repo][job]
        if not queue.repos[ticket.repo]:
            del queue.repos[ticket.repo]
        if not queue.repos:
            del self._queues[at]

    def release(self, released: Ticket) -> None:
        """It is with the Runners from now on. `place` says which copy."""
        self.drop(released.job)
        if released.place in self._released:
            return
        self._count(released, 1)
        self._released[released.place] = released
        self._places[released.job] = released.place
        self._turns[released.pool, released.repo] = next(self._clock)

    def left(self, place: int) -> None:
        """It is over; no error where it was not known."""
        ticket = self._released.pop(place, None)
        if ticket is None:
            return
        self._count(ticket, -1)
        if self._places.get(ticket.job) == place:
            del self._places[ticket.job]

    def _count(self, ticket: Ticket, by: int) -> None:
        for counter, key in (
            (self._of_level, (ticket.pool, ticket.level)),
            (self._of_pool, ticket.pool),
            (self._of_repo, ticket.repo),
            (self._shares, (ticket.pool, ticket.repo)),
        ):
            counter[key] += by  # type: ignore[index]  # each has keys of its own
            if not counter[key]:  # type: ignore[index]
                del counter[key]

    # -- what follows

    @property
    def has_labels(self) -> bool:
        """Whether any that waits asked for labels, and so might wait for another pool."""
        return any(ticket.labels for ticket in self._offers.values())

    def find(self, job: JobId) -> Ticket | None:
        """The offer of a job that waits."""
        return self._offers.get(job)

    def find_released(self, job: JobId) -> Ticket | None:
        """The job as it was released, while it is not over."""
        place = self._places.get(job)
        return None if place is None else self._released[place]

    def next(self) -> Ticket | None:
        """The offer that is to be released now; None: none may be."""
        for level in LEVELS:
            for (pool, of), queue in self._queues.items():
                if of is not level or not self._has_room(pool, level):
                    continue
                able = [repo for repo in queue.repos if not self._is_full(repo)]
                if able:
                    return _first(queue, min(able, key=partial(self._rank, pool, queue)))
        return None

    def depths(self) -> list[Depth]:
        """Of each pool that has jobs, a live Runner or a limit, by name."""
        waiting: Counter[str] = Counter()
        for (pool, _), queue in self._queues.items():
            waiting[pool] += len(queue)
        names = {*waiting, *self._of_pool, *self.slots, *self._pool_limits}
        return [
            Depth(
                pool=pool,
                waiting=waiting[pool],
                at_runners=self._of_pool[pool],
                slots=self.slots.get(pool, 0),
                limit=self._pool_limits[pool].at_once if pool in self._pool_limits else None,
            )
            for pool in sorted(names)
        ]

    def why(self, job: JobId) -> Held | None:
        """Why it is not at work; None: it is not known here, so it is over or not offered yet."""
        if (ticket := self.find_released(job)) is not None:
            return Held("it is next", 0, pool=ticket.pool)
        ticket = self._offers.get(job)
        if ticket is None:
            return None
        held = self._why(ticket)
        return replace(held, words=f"{ticket.sent}; {held.words}") if ticket.sent else held

    def _why(self, ticket: Ticket) -> Held:
        before = self._before(ticket)
        if self._is_full(ticket.repo):
            count = self._repo_limits[ticket.repo].at_once
            said = f"held by the limit of repo {ticket.repo_name}, {count} at once"
            return Held(said, before, "repo", ticket.pool)
        if self._is_full_pool(ticket.pool):
            count = self._pool_limits[ticket.pool].at_once
            said = f"held by the limit of pool {ticket.pool}, {count} at once; {before} before it"
            return Held(said, before, "pool", ticket.pool)
        return Held(f"{before} before it", before, pool=ticket.pool)

    def _has_room(self, pool: str, level: Priority) -> bool:
        if self._is_full_pool(pool):
            return False
        released = sum(self._of_level[pool, one] for one in LEVELS[: LEVELS.index(level) + 1])
        return released < RELEASED_PER_SLOT * self.slots.get(pool, 0)

    def _is_full_pool(self, pool: str) -> bool:
        limit = self._pool_limits.get(pool)
        return limit is not None and self._of_pool[pool] >= (limit.at_once or 0)

    def _is_full(self, repo: str) -> bool:
        limit = self._repo_limits.get(repo)
        return limit is not None and self._of_repo[repo] >= (limit.at_once or 0)

    def _rank(self, pool: str, queue: _Queue, repo: str) -> tuple[int, int, int]:
        turn = self._turns.get((pool, repo), 0)
        return self._shares[pool, repo], turn, _first(queue, repo).place

    def _before(self, ticket: Ticket) -> int:
        """Of its own Repo those that came earlier, of each other one as many turns as it has till
        then, and everything that is more important or only waits for its slot."""
        levels = LEVELS[: LEVELS.index(ticket.level)]
        more = sum(len(self._queues.get((ticket.pool, one), _Queue())) for one in levels)
        queue = self._queues[ticket.pool, ticket.level]
        own = list(queue.repos[ticket.repo]).index(ticket.job)
        rank = self._rank(ticket.pool, queue, ticket.repo)
        others = sum(
            min(len(jobs), own + (self._rank(ticket.pool, queue, repo) < rank))
            for repo, jobs in queue.repos.items()
            if repo != ticket.repo
        )
        ready = max(0, self._of_pool[ticket.pool] - self.slots.get(ticket.pool, 0))
        return more + own + others + ready


def _first(queue: _Queue, repo: str) -> Ticket:
    return next(iter(queue.repos[repo].values()))
