"""Triggers: from a recorded Delivery to the Runs that it asks for. Does not run them.

Everything here may be done twice: Bundles are kept by content, and a Run's id is derived from what
asked for it. What became of the Delivery is told at the end, whatever it was.
"""

import asyncio
import hashlib
from collections.abc import Callable

import msgspec
import structlog
from staunch.entered import WrongInput

from ci_host.engine.forks import Forks, ForkWish, OtherCode
from ci_host.engine.people import PersonRefused
from ci_host.engine.pipeline_files import Code, PipelineFiles
from ci_host.engine.run_inputs import entered
from ci_host.engine.schedules import Schedules
from ci_host.ports import (
    Catalog,
    HistoryStore,
    NoPipeline,
    Outcomes,
    Source,
    SourceRefused,
    StatusOutbox,
)
from ci_host.ref_ports import Hearsay, Word
from ci_host.tenant.sandbox import TenantFailed
from pipelines import job
from pipelines.bundle import PipelineEntry
from pipelines.event import Event, EventKind
from pipelines.events import Fork, RunStarted, unless_normal
from pipelines.ids import RunId
from pipelines.repo import Delivery, DeliveryOutcome, Repo
from pipelines.status import Status, StatusState, shorten
from pipelines.trigger import run_of, wanted
from webhooks.errors import Malformed
from webhooks.forge import Ignored, ParsedEvent

# The kinds of events that tell where a ref leads now.
MOVES_A_REF = frozenset(
    {EventKind.PUSH, EventKind.TAG, EventKind.BRANCH_DELETE, EventKind.TAG_DELETE}
)

log = structlog.get_logger()

Parse = Callable[[Delivery], "list[ParsedEvent] | Ignored"]


class Unwanted(Exception):
    """A Delivery, or one event in it, asks for no Run; the message completes "because …"."""


class Triggers:
    """`shards` is how many there are now; `base_url` where people see the pages."""

    def __init__(
        self,
        catalog: Catalog,
        source: Source,
        files: PipelineFiles,
        schedules: Schedules,
        history: HistoryStore,
        statuses: StatusOutbox,
        outcomes: Outcomes,
        hearsay: Hearsay,
        *,
        parse: Parse,
        now: Callable[[], float],
        shards: int,
        base_url: str,
    ) -> None:
        self._catalog = catalog
        self._source = source
        self._files = files
        self._schedules = schedules
        self._history = history
        self._statuses = statuses
        self._outcomes = outcomes
        self._hearsay = hearsay
        self._parse = parse
        self._now = now
        self._shards = shards
        self._forks = Forks(history, shards)
        self._base_url = base_url

    async def take(self, delivery: Delivery) -> DeliveryOutcome:
        """Start what the Delivery asks for, and tell what became of it.

        Raises SourceUnavailable, Unavailable: then nothing is told, and it is to be taken again.
        """
        runs: list[str] = []
        reasons: list[str] = []
        try:
            for parsed in self._events(delivery):
                try:
                    begun, told = await self.start(delivery.connection, parsed)
                    runs += begun
                    reasons += [told] if told else []
                except Unwanted as reason:
                    reasons.append(str(reason))
        except Unwanted as reason:
            reasons.append(str(reason))
        outcome = DeliveryOutcome(
            connection=delivery.connection,
            id=delivery.id,
            state="started" if runs else "ignored",
            reason="; ".join(reasons),
            runs=runs,
            at=self._now(),
        )
        await self._outcomes.tell(outcome)
        log.info("delivery_taken", delivery=delivery.id, runs=runs, reason=outcome.reason)
        return outcome

    async def give_up(self, delivery: Delivery, reason: str) -> None:
        """Tell that a Delivery will not be taken again by itself; it can be replayed by hand."""
        await self._outcomes.tell(
            DeliveryOutcome(
                connection=delivery.connection,
                id=delivery.id,
                state="failed",
                reason=reason,
                at=self._now(),
            )
        )

    def _events(self, delivery: Delivery) -> list[ParsedEvent]:
        try:
            parsed = self._parse(delivery)
        except Malformed as error:
            raise Unwanted(f"the payload cannot be read: {error}") from error
        if isinstance(parsed, Ignored):
            raise Unwanted(parsed.reason)
        return parsed

    async def start(self, connection: str, parsed: ParsedEvent) -> tuple[list[RunId], str]:
        """The Runs of one event, those that exist already too, and what else is to be told of it.

        Raises Unwanted.
        """
        repo = await self._catalog.repo(f"{connection}/{parsed.external_id}")
        if repo is None:
            raise Unwanted(
                f"repository {parsed.name} ({parsed.external_id}) is not registered here; add it"
                " with `staunch repo add`"
            )
        if parsed.fork is not None:
            return [await self._fork(repo, parsed, parsed.fork)], ""
        event = parsed.event
        if event.kind in MOVES_A_REF:
            # Before anything that may take long: the Delivery is kept until it is seen to.
            word = Word(repo=repo.id, ref=event.ref, commit=event.commit, at=self._now())
            await self._hearsay.tell(word)
        entries: list[PipelineEntry] = []
        try:
            code = await self._code(repo, event)
            entries = code.entries
            chosen = _chosen(entries, parsed)
            runs = [await self._create(repo, parsed, entry, code) for entry in chosen]
        except Unwanted as unwanted:
            # The branch has moved nevertheless.
            told = await self._schedules.look(repo, event, entries)
            raise Unwanted("; ".join(filter(None, (str(unwanted), told)))) from unwanted
        return runs, await self._schedules.look(repo, event, entries)

    async def _code(self, repo: Repo, event: Event) -> Code:
        if not event.commit:
            raise Unwanted(f"{event.ref} was deleted: there is nothing to build")
        try:
            return await self._files.at(repo, event.commit, event.ref)
        except NoPipeline as error:
            raise Unwanted(str(error)) from error
        except SourceRefused as error:
            await self._tell_refused(repo, event, str(error))
            raise Unwanted(str(error)) from error
        except TenantFailed as error:
            await self._tell_refused(repo, event, str(error))
            raise Unwanted(f"its pipeline files cannot be loaded: {error}") from error

    async def _create(
        self, repo: Repo, parsed: ParsedEvent, entry: PipelineEntry, code: Code
    ) -> RunId:
        event = parsed.event
        given = parsed.inputs if event.kind is EventKind.MANUAL else None
        try:
            inputs = entered(entry, given)
        except WrongInput as wrong:
            raise Unwanted(str(wrong)) from wrong
        run = run_of(repo.id, event, entry.name, shards=self._shards)
        mirror = await asyncio.to_thread(self._source.keep, repo, event.commit, run)
        started = RunStarted(
            run=run,
            repo=repo.id,
            repo_name=repo.name,
            connection=repo.connection,
            pipeline=entry.name,
            file=entry.file,
            bundle=code.bundle,
            source=job.Source(mirror=mirror, commit=event.commit),
            event=event,
            inputs=inputs,
            shards=self._shards,
            fault=code.faults.get(entry.name),
            priority=unless_normal(parsed.priority or entry.priority),
            wait=parsed.wait or msgspec.UNSET,
        )
        new = await self._history.create(run, started)
        log.info("run_created" if new else "run_exists", run=run, pipeline=entry.name)
        return run

    async def _fork(self, repo: Repo, parsed: ParsedEvent, fork: Fork) -> RunId:
        """A Run made from another, with the code of the event's commit. The forge hears nothing."""
        event = parsed.event
        try:
            code = await self._files.at(repo, event.commit, event.ref)
            (entry,) = _chosen(code.entries, parsed)
            key = event.delivery
            run = self._forks.run_of(RunId(fork.of), key)
            mirror = await asyncio.to_thread(self._source.keep, repo, event.commit, run)
            other = OtherCode(
                job.Source(mirror=mirror, commit=event.commit),
                code.bundle,
                code.faults.get(entry.name),
            )
            wish = ForkWish(key, parsed.inputs, fork.from_step, parsed.priority)
            await self._forks.fork(RunId(fork.of), wish, fork.by, entry, other)
        except (NoPipeline, SourceRefused, TenantFailed, PersonRefused) as error:
            raise Unwanted(str(error)) from error
        return run

    async def _tell_refused(self, repo: Repo, event: Event, reason: str) -> None:
        """A commit whose pipeline cannot even be read has no Run to say so; its Status does."""
        name = f"{repo.id} {event.ref} {event.commit}"
        await self._statuses.put(
            Status(
                id=hashlib.sha256(name.encode()).hexdigest()[:32],
                connection=repo.connection,
                repo=repo.external_id,
                repo_name=repo.name,
                commit=event.commit,
                context="staunch",
                state=StatusState.ERROR,
                description=shorten(reason),
                target_url=f"{self._base_url}/deliveries",
                at=self._now(),
            )
        )


def _chosen(entries: list[PipelineEntry], parsed: ParsedEvent) -> list[PipelineEntry]:
    """Which of a commit's pipelines the event asks for. Raises Unwanted where there is none."""
    event = parsed.event
    asked = [entry for entry in entries if parsed.pipeline in ("", entry.name)]
    chosen = [e for e in asked if e.error is not None or wanted(e.triggers, event)]
    if not chosen:
        names = ", ".join(entry.name for entry in entries) or "none"
        reason = f"no pipeline runs on {event.kind} of {event.ref}"
        if parsed.pipeline:
            reason = f"commit {event.commit} has no pipeline {parsed.pipeline!r}"
        raise Unwanted(f"{reason} (there is: {names})")
    return chosen
