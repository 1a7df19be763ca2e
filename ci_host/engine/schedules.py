"""Schedules: keeping Repos' Timetables by their default branches, and beginning what is due.

A Timetable is one record that everybody changes by compare-and-set. It says which Runs its newest
decision wants; whoever replaces it has made them first, and whoever changed it arms its alarm and
looks whether it is still the newest. So anybody may die at any line: the alarm, or the Delivery,
comes again, and everything is seen to by what the record says.
"""

import asyncio

import msgspec
import structlog

from ci_host.engine.calendar import CronCalendar
from ci_host.engine.continuations import end_of_chain
from ci_host.engine.pipeline_files import PipelineFiles
from ci_host.engine.run_inputs import entered
from ci_host.ports import (
    Catalog,
    Conflict,
    HistoryStore,
    NoPipeline,
    Source,
    SourceRefused,
    SourceUnavailable,
    Timetables,
    Unavailable,
)
from ci_host.tenant.sandbox import TenantFailed
from pipelines import job
from pipelines.bundle import PipelineEntry
from pipelines.event import Event, EventKind
from pipelines.events import RunStarted, unless_normal
from pipelines.ids import RunId, run_id
from pipelines.repo import Repo
from pipelines.run import FINAL
from pipelines.schedule import (
    Beginning,
    Entry,
    Overlap,
    RunNow,
    Skipped,
    Timetable,
    beginning_of,
    decided,
    declared,
    scheduled_of,
    schedules_of,
    without_lost,
)

# So many others changed the Timetable first; what rang, or the Delivery, comes again.
TRIES_MAX = 50
MOVES_A_BRANCH = frozenset({EventKind.PUSH, EventKind.BRANCH_DELETE})

log = structlog.get_logger()


class Schedules:
    """Every act may be repeated, and may be done by several engines at once."""

    def __init__(
        self,
        timetables: Timetables,
        catalog: Catalog,
        source: Source,
        files: PipelineFiles,
        history: HistoryStore,
        *,
        shards: int,
    ) -> None:
        self._timetables = timetables
        self._catalog = catalog
        self._source = source
        self._files = files
        self._history = history
        self._shards = shards
        self._calendar = CronCalendar()

    async def look(self, repo: Repo, event: Event, entries: list[PipelineEntry]) -> str:
        """After an event: have the Timetable follow the default branch. Says what it holds then.

        `entries` are the pipelines at the event's commit, if it has any. Raises SourceUnavailable,
        Unavailable.
        """
        if event.kind not in MOVES_A_BRANCH:
            return ""
        _, table = await self._timetables.read(repo.id)
        if not (table.entries or any(_declares(entry) for entry in entries)):
            return ""
        try:
            table = await self.follow(repo)
        except SourceRefused as error:
            return f"its schedules stay as they were: {error}"
        names = ", ".join(entry.schedule.name for entry in table.entries) or "none"
        return f"schedules of {table.ref or repo.name}: {names}"

    async def follow(self, repo: Repo) -> Timetable:
        """Have the Timetable be that of the default branch's newest commit.

        The branch is asked for after the Timetable was read: of two that follow at once, the one
        who knows an older commit meets a Conflict, and asks again.
        """
        for _ in range(TRIES_MAX):
            revision, table = await self._settled(repo.id, 0.0)
            wanted = await self._wanted(repo, table, await self._timetables.now())
            try:
                await self._timetables.write(wanted, after=revision)
            except Conflict:
                continue
            log.info("timetable", repo=repo.id, commit=wanted.commit, schedules=len(wanted.entries))
            await self.attend(repo.id)
            return wanted
        raise _busy(repo.id)

    async def attend(self, repo: str, at: float = 0.0) -> None:
        """Begin what is due (by `at` at least), make what is missing, and arm the alarm."""
        for _ in range(TRIES_MAX):
            revision, table = await self._settled(repo, at)
            if table.next is None:
                await self._timetables.disarm(repo)
            else:
                await self._timetables.arm(repo, table.next)
            # A slow engine's wish must not replace a newer one: who made it looks again.
            if (await self._timetables.read(repo))[0] == revision:
                return
        raise _busy(repo)

    async def _settled(self, repo: str, at: float) -> tuple[int, Timetable]:
        """A version in which everything due is decided, and whose Runs are there."""
        for _ in range(TRIES_MAX):
            revision, table = await self._timetables.read(repo)
            lost = {}
            for beginning in table.begun:
                reason = await self._begin(table, beginning)
                if reason:
                    lost[beginning.run] = reason
            # What rang is due; the store's clock may have been set back since.
            now = max(await self._timetables.now(), at)
            due = table.due(now)
            if not due and not lost:
                return revision, table
            busy = [entry.key for entry in due if await self._is_busy(entry)]
            wanted = decided(without_lost(table, lost), self._calendar, now, busy, self._shards)
            try:
                await self._timetables.write(wanted, after=revision)
            except Conflict:
                log.debug("timetable_changed", repo=repo)
        raise _busy(repo)

    async def run_now(self, wish: RunNow) -> None:
        """Begin a Run because a person asked for it, whatever else of the schedule is going."""
        for _ in range(TRIES_MAX):
            revision, table = await self._timetables.read(wish.repo)
            entry = table.entry(wish.pipeline, wish.name)
            if entry is None:
                log.warning("run_now_gone", repo=wish.repo, schedule=wish.name)
                return
            beginning = beginning_of(entry, wish, self._shards)
            reason = await self._begin(table, beginning)
            begun = msgspec.structs.replace(entry, last_run=beginning.run, last_due=wish.at)
            if reason:
                begun = msgspec.structs.replace(entry, skipped=Skipped(due=wish.at, reason=reason))
            if begun == entry:
                return
            try:
                await self._timetables.write(table.with_entry(begun), after=revision)
            except Conflict:
                continue
            return
        raise _busy(wish.repo)

    async def _wanted(self, repo: Repo, table: Timetable, now: float) -> Timetable:
        head = await asyncio.to_thread(self._source.head, repo)
        if head is None:
            return declared(table, [], self._calendar, ref="", commit="", bundle="")
        found: list[Entry] = []
        bundle = ""
        try:
            code = await self._files.at(repo, head.commit, head.ref)
        except (NoPipeline, TenantFailed) as reason:
            log.info("no_schedules", repo=repo.id, commit=head.commit, reason=str(reason))
        else:
            bundle = code.bundle
            found = [one for entry in code.entries for one in _entries_of(entry, now)]
            # Whatever happens to the branch: what is due tomorrow finds its commit.
            kept = run_id(repo.id, "timetable", shards=1)
            await asyncio.to_thread(self._source.keep, repo, head.commit, kept)
        return declared(
            table, found, self._calendar, ref=head.ref, commit=head.commit, bundle=bundle
        )

    async def _is_busy(self, entry: Entry) -> bool:
        """Whether its newest Run is in the way: still going, where that matters."""
        if entry.schedule.overlap is not Overlap.SKIP or not entry.last_run:
            return False
        first = RunId(entry.last_run)
        run = await end_of_chain(self._history, first)
        state = await self._history.state(run)
        if state is None:
            # It has not moved yet, or it could never be begun.
            return run != first or await self._history.started(run) is not None
        return state not in FINAL

    async def _begin(self, table: Timetable, beginning: Beginning) -> str:
        """See to it that a Run is there; answers why it can never be, or nothing."""
        run = RunId(beginning.run)
        entry = table.entry(beginning.pipeline, beginning.name)
        repo = await self._catalog.repo(table.repo)
        if entry is None or repo is None or await self._history.started(run) is not None:
            return ""
        try:
            mirror = await self._keep(repo, table, run)
        except SourceRefused as error:
            said = {"repo": repo.id, "run": run, "due": beginning.due, "reason": str(error)}
            log.error("schedule_lost", **said)  # noqa: TRY400
            return str(error)
        event = Event(
            kind=EventKind.SCHEDULE,
            ref=table.ref,
            commit=table.commit,
            sender=beginning.by,
            delivery=beginning.key,
            schedule=scheduled_of(entry, beginning),
        )
        started = RunStarted(
            run=run,
            repo=repo.id,
            repo_name=repo.name,
            connection=repo.connection,
            pipeline=entry.pipeline,
            file=entry.file,
            bundle=table.bundle,
            source=job.Source(mirror=mirror, commit=table.commit),
            event=event,
            inputs=entry.inputs,
            shards=self._shards,
            priority=unless_normal(entry.priority),
        )
        if await self._history.create(run, started):
            log.info("run_scheduled", run=run, schedule=entry.schedule.name, due=beginning.due)
        return ""

    async def _keep(self, repo: Repo, table: Timetable, run: RunId) -> str:
        try:
            return await asyncio.to_thread(self._source.keep, repo, table.commit, run)
        except SourceUnavailable:
            # The mirror was lost; the forge may still have it.
            await asyncio.to_thread(self._source.bundle, repo, table.commit, table.ref)
            return await asyncio.to_thread(self._source.keep, repo, table.commit, run)


def _entries_of(entry: PipelineEntry, now: float) -> list[Entry]:
    """A pipeline's schedules, as they begin; none if something is wrong with its file."""
    if entry.error is not None:
        return []
    inputs = entered(entry, None)
    return [
        Entry(
            pipeline=entry.name,
            file=entry.file,
            schedule=one,
            after=now,
            inputs=inputs,
            priority=entry.priority,
        )
        for one in schedules_of(entry.triggers)
    ]


def _declares(entry: PipelineEntry) -> bool:
    return any(trigger.get("on") == "schedule" for trigger in entry.triggers or [])


def _busy(repo: str) -> Unavailable:
    return Unavailable(f"the schedules of {repo} are changed by too many at once")
