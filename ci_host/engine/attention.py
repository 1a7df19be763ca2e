"""Attention: how often each Repo is looked at. What moves as ever, what is idle less and less.

Theory of operation. Most Repos are idle, and a look at one costs the same whether it is or not. One
in which something moved is looked at once in every interval. One that is idle is looked at after a
share of the time that it has been idle for, up to a few intervals. If its Forge lists what changed
lately (see `change_lists.py`), and did list this one, the list is waited for instead; it is swept
only now and then, in case the list is wrong, and all such Repos together so often an hour at most.

A Repo is hot for a while after its Forge's list named it, or a Delivery told of it: then something
goes on there, and what goes wrong with the next Delivery must be found as soon as ever. One that is
in no list, and whose last news no Delivery told of, has no webhook that works: it is never idle.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ci_host.ref_ports import Hearsay, Word

# Of the time that a Repo has been idle for: after so much of it one looks again.
IDLE_SHARE = 0.01
IDLE_INTERVALS_MAX = 12.0
# One that its Forge would name in a list is looked at so often without being named …
SWEEP_S = 86_400.0
# … or more rarely, where there are so many that it would be more looks than these.
SWEEPS_PER_HOUR_MAX = 100.0
# GitLab moves what it lists an hour after it moved it last, and not before; and five minutes go by
# until the list is read, and five until the Repo's moment comes.
HOT_S = 4_500.0


@dataclass(frozen=True, slots=True)
class Moved:
    """When something last moved in a Repo, in seconds since the epoch. `untold`: a look found it,
    and no Delivery told of it."""

    at: float
    untold: bool = False


def pause_of(interval_s: float, idle_s: float, *, listed: int) -> float:
    """How long to leave a Repo alone in which nothing has moved for so long.

    `listed`: how many Repos a Forge's list would name if they moved, this one among them; 0: it is
    in none.
    """
    pause = min(max(idle_s * IDLE_SHARE, interval_s), IDLE_INTERVALS_MAX * interval_s)
    if not listed or pause <= interval_s:
        return pause
    return max(pause, SWEEP_S, listed * 3_600.0 / SWEEPS_PER_HOUR_MAX)


class Attention:
    """For the tasks of one event loop. Repos are named by their ids."""

    def __init__(
        self, interval_s: float, *, now: Callable[[], float], elapsed: Callable[[], float]
    ) -> None:
        """`now`: seconds since the epoch; `elapsed`: of a clock that nobody sets."""
        self._interval_s, self._now, self._elapsed = interval_s, now, elapsed
        self._hot_until: dict[str, float] = {}
        # Whether the list that a Repo is in names it for new commits of forks' pull requests, too.
        self._listed: dict[str, bool] = {}
        self._with_forks: set[str] = set()
        self._woken: dict[str, bool] = {}

    def stir(self, repo: str) -> None:
        """Something was told of it: look within the interval, and again for a while."""
        self._hot_until[repo] = self._elapsed() + HOT_S
        self._woken.setdefault(repo, False)

    def name(self, repo: str) -> None:
        """Its Forge says that it has changed: look at once, and again for a while."""
        self._hot_until[repo] = self._elapsed() + HOT_S
        self._woken[repo] = True

    def is_hot(self, repo: str) -> bool:
        """Whether something was said of it lately."""
        until = self._hot_until.get(repo)
        if until is not None and until <= self._elapsed():
            del self._hot_until[repo]
            return False
        return until is not None

    def enlist(self, repos: Iterable[str], *, heads: bool) -> None:
        """Their Forge names them when they change. `heads`: also for commits of a fork's pull
        request that is open."""
        for repo in repos:
            self._listed[repo] = heads

    def unlist(self, repos: Iterable[str]) -> None:
        """It does so no more: they are looked at in the interval, and then as others are."""
        for repo in repos:
            if self._listed.pop(repo, None) is not None:
                self._woken.setdefault(repo, False)

    def is_listed(self, repo: str) -> bool:
        """Whether its Forge would name it, whatever of it had changed."""
        heads = self._listed.get(repo)
        return heads is not None and (heads or repo not in self._with_forks)

    def has_forks(self, repo: str, *, open_now: bool) -> None:
        """Whether pull requests of forks are open there: their commits move no ref of this Repo."""
        if open_now:
            self._with_forks.add(repo)
        else:
            self._with_forks.discard(repo)

    def woken(self) -> Mapping[str, bool]:
        """Those that were said something of since this was asked last, and whether it is urgent."""
        woken, self._woken = self._woken, {}
        return woken

    def pause_s(self, repo: str, moved: Moved | None) -> float:
        """For how long to leave it alone. `moved` None: nobody knows when it did."""
        listed = len(self._listed) if self.is_listed(repo) else 0
        if moved is None or self.is_hot(repo) or (moved.untold and not listed):
            return self._interval_s
        return pause_of(self._interval_s, self._now() - moved.at, listed=listed)


class Heeded:
    """See Hearsay: as it is told, and looked at by whoever pays attention."""

    def __init__(self, hearsay: Hearsay, attention: Attention) -> None:
        self._hearsay, self._attention = hearsay, attention

    async def tell(self, word: Word) -> None:
        """See Hearsay."""
        self._attention.stir(word.repo)
        await self._hearsay.tell(word)

    async def told(self, repo: str, refs: Sequence[str]) -> dict[str, Word]:
        """See Hearsay."""
        return await self._hearsay.told(repo, refs)
