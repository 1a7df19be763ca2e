"""NamedSource: a Source whose answers that follow from a name alone are confirmed. See `renames`.

A commit that is fetched by its id is that commit, from wherever it comes. Where a branch leads, and
what is on it, says only who has the name.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ci_host.engine.renames import NotOurs, Renames
from ci_host.ports import (
    Head,
    Source,
    SourceElsewhere,
    SourceRefused,
    SourceUnavailable,
    Unavailable,
)
from pipelines.bundle import Bundle
from pipelines.ids import RunId
from pipelines.repo import Repo
from webhooks.forge import Later

T = TypeVar("T")
# See Renames.check: the Repo, and what was said within how many seconds will do. Blocking.
Check = Callable[[Repo, float], Repo | Later]

ANSWER_TIMEOUT_S = 30.0
# A name that was ours a moment ago is, for a flood of calls.
CONFIRMED_S = 60.0


class ThreadsCheck:
    """Asks on the `loop`, from another thread."""

    def __init__(self, renames: Renames, loop: asyncio.AbstractEventLoop) -> None:
        self._renames, self._loop = renames, loop

    def __call__(self, repo: Repo, within_s: float) -> Repo | Later:
        """See Check. Raises SourceRefused, SourceUnavailable."""
        asked = asyncio.run_coroutine_threadsafe(
            self._renames.check(repo, within_s=within_s), self._loop
        )
        try:
            return asked.result(ANSWER_TIMEOUT_S)
        except (TimeoutError, Unavailable) as error:
            asked.cancel()
            raise SourceUnavailable(f"{repo.name}: nobody says whose name that is now") from error


class NamedSource:
    """See Source. What is read from where a Repo was before it was renamed is Unavailable: it is
    there at the next try, with its new name."""

    def __init__(self, source: Source, aside: Callable[[Repo], str], check: Check) -> None:
        """`aside`: see Renames."""
        self._source, self._aside, self._check = source, aside, check

    def bundle(self, repo: Repo, commit: str, ref: str) -> Bundle:
        return self._explained(repo, lambda: self._source.bundle(repo, commit, ref))

    def fetch(self, repo: Repo, commit: str, ref: str) -> None:
        self._explained(repo, lambda: self._source.fetch(repo, commit, ref))

    def tip(self, repo: Repo, ref: str) -> str | None:
        return self._confirmed(repo, lambda: self._source.tip(repo, ref))

    def is_on(self, repo: Repo, commit: str, ref: str) -> bool:
        return self._confirmed(repo, lambda: self._source.is_on(repo, commit, ref))

    def find(self, repo: Repo, name: str, ref: str) -> str:
        return self._confirmed(repo, lambda: self._source.find(repo, name, ref))

    def head(self, repo: Repo) -> Head | None:
        return self._confirmed(repo, lambda: self._source.head(repo))

    def message(self, repo: Repo, commit: str) -> str:
        return self._source.message(repo, commit)

    def changed(
        self, repo: Repo, commit: str, ref: str, *, since: str, base: str
    ) -> list[str] | None:
        return self._explained(
            repo, lambda: self._source.changed(repo, commit, ref, since=since, base=base)
        )

    def keep(self, repo: Repo, commit: str, run: RunId) -> str:
        return self._source.keep(repo, commit, run)

    def _confirmed(self, repo: Repo, act: Callable[[], T]) -> T:
        """Asked after it was read: a name that is ours now was so a moment ago."""
        found = self._explained(repo, act)
        self._demand(repo, CONFIRMED_S)
        return found

    def _explained(self, repo: Repo, act: Callable[[], T]) -> T:
        """What is not there any more may have been renamed; and if its events call it by another
        name, a refusal says that, too."""
        try:
            return act()
        except SourceElsewhere as elsewhere:
            raise self._with_aside(repo, self._why(repo, elsewhere)) from elsewhere
        except SourceRefused as refused:
            raise self._with_aside(repo, refused) from refused

    def _why(self, repo: Repo, refused: SourceRefused) -> SourceRefused:
        """The nearer reason why something is not there. Raises SourceUnavailable: it was renamed,
        or nobody can say now."""
        try:
            self._demand(repo, 0.0)
        except NotOurs as other:
            return other
        except SourceRefused:
            # The forge shows it no more than git does.
            return refused
        return refused

    def _demand(self, repo: Repo, within_s: float) -> None:
        """Raises SourceRefused, SourceUnavailable: its name is not its own, or not now."""
        told = self._check(repo, within_s)
        if isinstance(told, Later):
            raise SourceUnavailable(
                f"{repo.name}: its forge does not say now whether that still is its name:"
                f" {told.reason}"
            )
        if told != repo:
            raise SourceUnavailable(f"{repo.name} is called {told.name} by now; it is read again")

    def _with_aside(self, repo: Repo, refused: SourceRefused) -> SourceRefused:
        aside = self._aside(repo)
        return type(refused)(f"{refused} ({aside})") if aside else refused
