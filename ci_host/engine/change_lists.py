"""Change lists: reads what Forges say has changed lately, so that not every Repo is looked at.

Theory of operation. A Forge that has such a list is asked once in every interval for what changed
since the newest change that it told of, by its own clock; once a day, and at the start, for all.
Whose stamp is another than before has moved. Who is in the whole list will be named by the next;
who is not is looked at as if there was none. A list that was not read to its end, or that its Forge
did not give for long, is read whole again.

The list only says where to look. What moved is seen by looking, and a Repo in which a look found
what no list had named is believed to be in none from then on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from ci_host.engine.attention import HOT_S, IDLE_INTERVALS_MAX, Attention
from ci_host.ref_ports import ChangeSource
from pipelines.repo import Repo
from webhooks.forge import Changed, Later, Refused

# A change may be listed so much later than it happened.
OVERLAP_S = 600.0
WHOLE_S = 86_400.0
# How often a list may fail to name what a look has found, before it is not believed of that Repo.
DOUBTS_MAX = 2

log = structlog.get_logger()


@dataclass
class _Held:
    """What is known of one list: when each of its Repos changed, by the Forge's clock."""

    stamps: dict[str, float] = field(default_factory=dict)
    pulls: dict[str, float] = field(default_factory=dict)
    newest: float = 0.0
    whole_at: float = float("-inf")
    answered_at: float = float("-inf")
    reason: str = ""


class ChangeLists:
    """`repos` are those that are registered now, as somebody else keeps them."""

    def __init__(
        self,
        source: ChangeSource,
        repos: Mapping[str, Repo],
        attention: Attention,
        *,
        interval_s: float,
        elapsed: Callable[[], float],
    ) -> None:
        """`elapsed`: seconds of a clock that nobody sets."""
        self._source = source
        self._repos = repos
        self._attention = attention
        self._interval_s = interval_s
        self._elapsed = elapsed
        self._next = elapsed()
        self._held: dict[str, _Held] = {}
        self._doubts: dict[str, int] = {}
        self._silent: set[str] = set()

    async def ask(self) -> None:
        """Ask for every list, if its time has come."""
        if self._elapsed() < self._next:
            return
        self._next = self._elapsed() + self._interval_s
        places: dict[str, dict[str, Repo]] = {}
        for repo in list(self._repos.values()):
            if place := self._source.place(repo):
                places.setdefault(place, {})[repo.id] = repo
        for place in self._held.keys() - places.keys():
            self._attention.unlist(self._held.pop(place).stamps)
        for place, repos in places.items():
            await self._ask(self._held.setdefault(place, _Held()), place, repos)

    def doubt(self, repo: str) -> None:
        """A look has found there what nobody told of: its list should name it soon."""
        if self._attention.is_listed(repo) and not self._attention.is_hot(repo):
            self._doubts.setdefault(repo, 0)

    async def _ask(self, held: _Held, place: str, repos: Mapping[str, Repo]) -> None:
        now = self._elapsed()
        whole = now >= held.whole_at
        since = max(0.0, held.newest - OVERLAP_S)
        told = await self._source.changed(next(iter(repos.values())), since, whole=whole)
        if not isinstance(told, Changed):
            self._miss(held, place, told)
            return
        held.answered_at, held.reason = now, ""
        # Of a list that ends too early nobody knows what else it would have named.
        held.whole_at = now + WHOLE_S if whole else held.whole_at if told.is_whole else now
        held.newest = max(held.newest, *told.stamps.values(), *told.pulls.values(), 0.0)
        self._take(held, told, repos, whole=whole)

    def _take(self, held: _Held, told: Changed, repos: Mapping[str, Repo], *, whole: bool) -> None:
        by_id = {repo.external_id: repo.id for repo in repos.values()}
        stamps = {by_id[one]: at for one, at in told.stamps.items() if one in by_id}
        pulls = {by_id[one]: at for one, at in told.pulls.items() if one in by_id}
        for repo, at in stamps.items():
            if repo not in held.stamps:
                # What changed lately may change again without a word, or have done so after it was
                # looked at and before it was listed.
                if at > held.newest - HOT_S:
                    self._attention.stir(repo)
            elif held.stamps[repo] != at:
                self._attention.name(repo)
                self._doubts.pop(repo, None)
        for repo, at in pulls.items():
            if held.pulls.get(repo) != at:
                self._attention.name(repo)
                self._doubts.pop(repo, None)
        if whole:
            self._attention.unlist(held.stamps.keys() - stamps.keys())
            held.stamps, held.pulls = {}, {}
        held.stamps.update(stamps)
        held.pulls.update(pulls)
        self._disbelieve(held)
        self._attention.enlist(held.stamps.keys() - self._silent, heads=told.heads)

    def _disbelieve(self, held: _Held) -> None:
        """Whoever was not named although something moved there is in no list any more."""
        for repo in self._doubts.keys() & held.stamps.keys():
            self._doubts[repo] += 1
            if self._doubts[repo] >= DOUBTS_MAX:
                del self._doubts[repo]
                self._silent.add(repo)
                self._attention.unlist([repo])
                log.warning("list_did_not_name_what_moved", repo=repo)

    def _miss(self, held: _Held, place: str, told: Later | Refused | None) -> None:
        reason = "the forge has none" if told is None else told.reason
        if reason != held.reason:
            held.reason = reason
            log.info("changes_not_listed", place=place, reason=reason)
        # What changes meanwhile is named when it answers again.
        if self._elapsed() - held.answered_at > IDLE_INTERVALS_MAX * self._interval_s:
            self._attention.unlist(held.stamps)
            held.stamps, held.pulls, held.whole_at = {}, {}, float("-inf")
