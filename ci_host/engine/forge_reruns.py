"""ForgeReruns: Runs begun again because somebody pressed a button on a Forge.

The Forge says which Run a check is of, and anybody may have written that there: an id is no
authority, so only a Run of that very repository and commit, of which the Forge is told at all, is
begun again. May be done twice: the same wish is answered with the same attempts.
"""

from dataclasses import dataclass, field
from typing import Protocol

from ci_host.access import Token
from ci_host.engine.continuations import end_of_chain
from ci_host.engine.people import PersonRefused
from ci_host.engine.reruns import Reruns, Wish
from ci_host.engine.statuses import is_told
from ci_host.ports import HistoryStore, SourceRefused
from pipelines.event import Event
from pipelines.ids import RunId, is_run_id
from pipelines.repo import Repo
from webhooks.forge import Again

RUNS_MAX = 100


class CheckSuites(Protocol):
    """The checks of ours that a Forge groups on a commit."""

    async def runs(self, repo: Repo, suite: str) -> list[str]:
        """What the newest check of each name says whose it is: Run ids, but nobody vouches.

        Raises SourceRefused, SourceUnavailable.
        """


@dataclass(slots=True)
class Outcome:
    """The new attempts, each once, and why there is none for the others."""

    runs: list[RunId] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


class ForgeReruns:
    """Over the Histories; `suites` is asked where a Forge means all checks of a commit."""

    def __init__(self, history: HistoryStore, suites: CheckSuites, shards: int) -> None:
        self._history, self._suites = history, suites
        self._reruns = Reruns(history, shards)

    async def begin(self, repo: Repo, event: Event, again: Again, wish: str = "") -> Outcome:
        """Begin them. `event` has commit and sender; what is wished is known again by `wish`, or,
        where nothing in it has a name, by the event's delivery. Raises SourceUnavailable."""
        asked = f"{repo.connection} {wish or event.delivery}"
        outcome, named = Outcome(), [again.run]
        if again.suite:
            try:
                named = await self._suites.runs(repo, again.suite)
            except SourceRefused as error:
                outcome.reasons.append(str(error))
                named = []
            if not named and not outcome.reasons:
                outcome.reasons.append("no check of ours is in that suite")
        for run in list(dict.fromkeys(named))[:RUNS_MAX]:
            try:
                begun = await self._again(repo, event, run, asked, failed_only=again.failed_only)
            except PersonRefused as refused:
                outcome.reasons.append(str(refused))
                continue
            if begun not in outcome.runs:
                outcome.runs.append(begun)
        return outcome

    async def _again(
        self, repo: Repo, event: Event, named: str, asked: str, *, failed_only: bool
    ) -> RunId:
        run = await told_run(self._history, repo, event, named)
        newest = await end_of_chain(self._history, run)
        if newest != run:
            # Not over as long as one goes on where it ended; of that one is what succeeded.
            await self._reruns.check_ended(newest)
            run = newest if failed_only else run
        who = Token(digest="", name=event.sender or repo.connection)
        wish = Wish(failed_only=failed_only)
        return (await self._reruns.rerun(run, wish, who, asked=asked)).run


async def told_run(history: HistoryStore, repo: Repo, event: Event, named: str) -> RunId:
    """The Run of that name, if it is one that the Forge may mean. Raises PersonRefused."""
    if not is_run_id(named):
        raise PersonRefused(404, f"the check names {named[:80]!r}, which is no run")
    started = await history.started(RunId(named))
    is_here = started is not None and started.repo == repo.id
    if started is None or not is_here or started.event.commit != event.commit:
        # One answer: whether it is somebody else's is nobody's business.
        raise PersonRefused(404, f"there is no run {named} of {repo.name} at {event.commit}")
    if not is_told(started):
        raise PersonRefused(404, f"run {named} has no check; nobody can have pressed it")
    return RunId(named)
