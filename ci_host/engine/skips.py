"""Skips: pipelines that an event asks for, and that have nothing to do with what was changed.

Because the commit's message says so, or because none of their paths was touched; both as git has
it, not as a payload claims. The Forge is told that they were skipped: a check that somebody
requires must not wait for ever. What has begun is not skipped afterwards.
"""

import asyncio

from ci_host.engine.admissions import full
from ci_host.engine.notices import Notices
from ci_host.ports import HistoryStore, Source, SourceRefused
from pipelines.bundle import PipelineEntry
from pipelines.event import Event, EventKind
from pipelines.paths import has_paths, is_touched
from pipelines.repo import Repo
from pipelines.trigger import BY_MESSAGE, BY_PATHS, asks_to_be_skipped, matching, run_of


class Skips:
    """`shards` is how many there are now."""

    def __init__(
        self, source: Source, history: HistoryStore, notices: Notices, *, shards: int
    ) -> None:
        self._source = source
        self._history = history
        self._notices = notices
        self._shards = shards

    async def part(
        self, repo: Repo, event: Event, chosen: list[PipelineEntry]
    ) -> tuple[list[PipelineEntry], str]:
        """Those that run, and what is to be told of the others, as the Forge was.

        The commit has been fetched. Raises SourceUnavailable, Unavailable.
        """
        reasons = await self._reasons(repo, event, chosen)
        going: list[PipelineEntry] = []
        told: list[str] = []
        for entry in chosen:
            reason = reasons.get(entry.name, "")
            run = run_of(repo.id, event, entry.name, shards=self._shards)
            if not reason or await self._history.started(run) is not None:
                going.append(entry)
                continue
            await self._notices.skipped(repo, event, entry.name, reason)
            told.append(f"{entry.name} is {reason}")
        return going, "; ".join(told)

    async def _reasons(
        self, repo: Repo, event: Event, chosen: list[PipelineEntry]
    ) -> dict[str, str]:
        """Why pipelines are skipped, by their names."""
        if event.kind is EventKind.PUSH:
            message = await asyncio.to_thread(self._source.message, repo, event.commit)
            if asks_to_be_skipped(message):
                return {entry.name: BY_MESSAGE for entry in chosen}
        # What is wrong in a file is told, whatever was changed.
        asking = {
            entry.name: matching(entry.triggers, event) for entry in chosen if entry.error is None
        }
        limited = {name: found for name, found in asking.items() if has_paths(found)}
        if event.kind is EventKind.MANUAL or not limited:
            return {}
        changed = await self._changed(repo, event)
        if changed is None:
            return {}
        return {
            name: BY_PATHS
            for name, found in limited.items()
            if not await asyncio.to_thread(is_touched, found, changed)
        }

    async def _changed(self, repo: Repo, event: Event) -> list[str] | None:
        """The paths in which the commit differs from what was there; None: nobody can say."""
        since, base = "", ""
        if event.pull_request is not None:
            base = full(event.pull_request.base_ref)
        else:
            since = event.before
        try:
            return await asyncio.to_thread(
                self._source.changed, repo, event.commit, event.ref, since=since, base=base
            )
        except SourceRefused:
            # To run for nothing is better than not to run.
            return None
