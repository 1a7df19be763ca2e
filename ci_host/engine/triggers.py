"""Triggers: from a recorded Delivery to the Runs that it asks for. Does not run them.

Everything here may be done twice: Bundles are kept by content, and a Run's id is derived from what
asked for it. What became of the Delivery is told at the end, whatever it was.
"""

import asyncio
import shlex
from collections.abc import Callable
from dataclasses import replace

import msgspec
import structlog
from staunch.entered import WrongInput

from ci_host.engine.admissions import Admissions, full
from ci_host.engine.comment_commands import CommentCommands
from ci_host.engine.forge_gates import ForgeGates
from ci_host.engine.forge_reruns import ForgeReruns
from ci_host.engine.forks import Forks, ForkWish, OtherCode
from ci_host.engine.notices import Notices
from ci_host.engine.people import PersonRefused
from ci_host.engine.pipeline_files import Code, PipelineFiles
from ci_host.engine.renames import Renames
from ci_host.engine.run_inputs import entered
from ci_host.engine.schedules import Schedules
from ci_host.engine.skips import Skips
from ci_host.engine.unwanted import STATES, Done, Held, Unwanted
from ci_host.ports import (
    HistoryStore,
    NoPipeline,
    Outcomes,
    Source,
    SourceElsewhere,
    SourceRefused,
)
from ci_host.ref_ports import Hearsay, Word
from ci_host.tenant.sandbox import TenantFailed
from pipelines import job
from pipelines.bundle import PipelineEntry
from pipelines.event import Event, EventKind
from pipelines.events import Fork, RunStarted, unless_normal
from pipelines.ids import RunId
from pipelines.repo import Delivery, DeliveryOutcome, Repo
from pipelines.trigger import run_of, wanted, why_unwanted
from pipelines.trust import Admission, Verdict
from webhooks.errors import Malformed
from webhooks.forge import Command, Ignored, ParsedEvent, Sought

# The kinds of events that tell where a ref leads now.
MOVES_A_REF = frozenset(
    {
        EventKind.PUSH,
        EventKind.TAG,
        EventKind.BRANCH_DELETE,
        EventKind.TAG_DELETE,
        EventKind.PULL_REQUEST,
    }
)

log = structlog.get_logger()

Parse = Callable[[Delivery], "list[ParsedEvent] | Ignored"]


class Triggers:
    """`shards` is how many there are now."""

    def __init__(
        self,
        renames: Renames,
        source: Source,
        files: PipelineFiles,
        schedules: Schedules,
        admissions: Admissions,
        history: HistoryStore,
        notices: Notices,
        outcomes: Outcomes,
        reruns: ForgeReruns,
        hearsay: Hearsay,
        commands: CommentCommands,
        gates: ForgeGates,
        *,
        parse: Parse,
        now: Callable[[], float],
        shards: int,
    ) -> None:
        self._renames = renames
        self._source = source
        self._files = files
        self._schedules = schedules
        self._admissions = admissions
        self._history = history
        self._notices = notices
        self._outcomes = outcomes
        self._hearsay = hearsay
        self._parse = parse
        self._now = now
        self._shards = shards
        self._forks = Forks(history, shards)
        self._skips = Skips(source, history, notices, shards=shards)
        self._reruns = reruns
        self._commands = commands
        self._gates = gates

    async def take(self, delivery: Delivery) -> DeliveryOutcome:
        """Start what the Delivery asks for, and tell what became of it.

        Raises SourceUnavailable, Unavailable: then nothing is told, and it is to be taken again.
        """
        runs: list[str] = []
        reasons: list[str] = []
        state = "ignored"
        try:
            for parsed in self._events(delivery):
                try:
                    begun, told = await self.start(delivery.connection, parsed)
                    runs += begun
                    reasons += [told] if told else []
                except Unwanted as reason:
                    state = STATES.get(type(reason), state)
                    reasons.append(str(reason))
        except Unwanted as reason:
            reasons.append(str(reason))
        outcome = DeliveryOutcome(
            connection=delivery.connection,
            id=delivery.id,
            state="started" if runs else state,
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
        # The name that the event has is a hint, and no more.
        repo = await self._renames.repo(f"{connection}/{parsed.external_id}", parsed.name)
        if repo is None:
            raise Unwanted(
                f"repository {parsed.name} ({parsed.external_id}) is not registered here; add it"
                " with `staunch repo add`"
            )
        if parsed.fork is not None:
            return [await self._fork(repo, parsed, parsed.fork)], ""
        if parsed.sought is not None:
            parsed = await self._found(repo, parsed, parsed.sought)
        if (wished := await self._wished(repo, parsed)) is not None:
            return wished
        event = parsed.event
        # Before anything that may take long: the Delivery is kept until it is seen to.
        await self._say(repo, event, event.commit)
        entries: list[PipelineEntry] = []
        try:
            verdict = await self._verdict(repo, event)
            code = await self._code(repo, event, verdict)
            entries = code.entries
            chosen, skipped = await self._going(repo, parsed, entries)
            runs = [await self._create(repo, parsed, entry, code, verdict) for entry in chosen]
            if verdict is not None and verdict.by:
                await self._notices.approved(repo, event, verdict)
        except Unwanted as unwanted:
            if isinstance(unwanted.__cause__, SourceElsewhere):
                # Whoever looks at the refs when the Repo is found again is to see it.
                await self._say(repo, event, "")
            # The branch has moved nevertheless.
            told = await self._schedules.look(repo, event, entries)
            raise type(unwanted)("; ".join(filter(None, (str(unwanted), told)))) from unwanted
        told = await self._schedules.look(repo, event, entries)
        return runs, "; ".join(filter(None, (skipped, told)))

    async def _say(self, repo: Repo, event: Event, commit: str) -> None:
        if event.kind in MOVES_A_REF:
            word = Word(repo=repo.id, ref=event.ref, commit=commit, at=self._now())
            await self._hearsay.tell(word)

    async def _wished(self, repo: Repo, parsed: ParsedEvent) -> tuple[list[RunId], str] | None:
        """What came of a wish of somebody at the Forge; None: it is none. Raises Unwanted."""
        if parsed.again is not None:
            again = await self._reruns.begin(repo, parsed.event, parsed.again)
            if not again.runs:
                raise Unwanted("; ".join(again.reasons))
            return again.runs, "; ".join(again.reasons)
        if parsed.press is not None:
            try:
                said = await self._gates.answer(repo, parsed.event, parsed.press)
            except PersonRefused as refused:
                raise Unwanted(f"a gate's button, by {parsed.press.login}: {refused}") from refused
            raise Done(said)
        if parsed.command is not None:
            return await self._obey(repo, parsed, parsed.command)
        return None

    async def _going(
        self, repo: Repo, parsed: ParsedEvent, entries: list[PipelineEntry]
    ) -> tuple[list[PipelineEntry], str]:
        """Those that run, and what is told of those that are skipped. Raises Unwanted: none."""
        chosen, skipped = await self._skips.part(repo, parsed.event, _chosen(entries, parsed))
        if not chosen:
            raise Unwanted(skipped)
        if not parsed.is_tried or parsed.pipeline:
            return chosen, skipped
        aside = "; ".join(_unwanting(entries, parsed.event))
        return chosen, "; ".join(filter(None, (skipped, aside)))

    async def _obey(
        self, repo: Repo, parsed: ParsedEvent, command: Command
    ) -> tuple[list[RunId], str]:
        """What a comment's command came to. Raises Unwanted."""
        try:
            obeyed = await self._commands.obey(repo, parsed.event, command)
        except (PersonRefused, SourceRefused) as refused:
            await self._commands.answer(repo, command, str(refused))
            raise Unwanted(f"/staunch {command.word} by {command.login}: {refused}") from refused
        await self._commands.answer(repo, command)
        if obeyed.start is None:
            if not obeyed.runs:
                raise Done(obeyed.said)
            return obeyed.runs, obeyed.said
        begun, told = await self.start(
            repo.connection, ParsedEvent(repo.external_id, repo.name, obeyed.start)
        )
        return begun, "; ".join(filter(None, (obeyed.said, told)))

    async def _verdict(self, repo: Repo, event: Event) -> Verdict | None:
        """How far a pull request is trusted; None: it is none. Raises Unwanted."""
        request = event.pull_request
        if request is None or not event.commit:
            return None
        try:
            verdict = await self._admissions.of(repo, event)
        except SourceRefused as error:
            await self._notices.refused(repo, event, str(error))
            raise Unwanted(str(error)) from error
        if verdict.admission is Admission.REFUSE:
            said = f"pull request {request.number} is not run: {verdict.why}"
            await self._notices.refused(repo, event, said)
            raise Unwanted(f"{said}; `staunch trust policies` shows the policy that says so")
        if verdict.is_held:
            await self._notices.held(repo, event, verdict)
            raise Held(
                f"pull request {request.number} waits for an approval of commit {event.commit},"
                f" since {verdict.why}: `staunch trust approve {shlex.quote(repo.name)}"
                f" {request.number} {event.commit}`"
            )
        return verdict

    async def _found(self, repo: Repo, parsed: ParsedEvent, sought: Sought) -> ParsedEvent:
        """With the commit that the forge did not name by its full id. Raises Unwanted."""
        try:
            name: str | None = sought.name
            if not name:
                name = await asyncio.to_thread(self._source.tip, repo, sought.ref)
            if not name:
                raise Unwanted(f"{repo.name} has no {sought.ref}; push it, and publish again")
            # What a tag leads to may be an object of its own.
            commit = await asyncio.to_thread(self._source.find, repo, name, sought.ref)
        except SourceRefused as error:
            # Without a full id there is no commit that a Status could be shown on.
            raise Unwanted(str(error)) from error
        event = msgspec.structs.replace(parsed.event, commit=commit)
        return replace(parsed, event=event, sought=None)

    async def _code(self, repo: Repo, event: Event, verdict: Verdict | None) -> Code:
        if not event.commit:
            raise Unwanted(f"{event.ref} was deleted: there is nothing to build")
        try:
            if verdict is None or not verdict.base:
                return await self._files.at(repo, event.commit, event.ref)
            # The plan is that of the branch it is for; what its jobs work on is the change.
            await asyncio.to_thread(self._source.fetch, repo, event.commit, event.ref)
            base = event.pull_request.base_ref if event.pull_request is not None else ""
            return await self._files.at(repo, verdict.base, full(base))
        except NoPipeline as error:
            raise Unwanted(str(error)) from error
        except SourceRefused as error:
            await self._notices.refused(repo, event, str(error))
            raise Unwanted(str(error)) from error
        except TenantFailed as error:
            await self._notices.refused(repo, event, str(error))
            raise Unwanted(f"its pipeline files cannot be loaded: {error}") from error

    async def _create(
        self,
        repo: Repo,
        parsed: ParsedEvent,
        entry: PipelineEntry,
        code: Code,
        verdict: Verdict | None,
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
            supposed=parsed.supposed or msgspec.UNSET,
            verdict=verdict or msgspec.UNSET,
        )
        if self._notices.tells_queued(repo) and await self._history.started(run) is None:
            await self._notices.queued(repo, event, entry.name, run)
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


def _chosen(entries: list[PipelineEntry], parsed: ParsedEvent) -> list[PipelineEntry]:
    """Which of a commit's pipelines the event asks for. Raises Unwanted where there is none."""
    event = parsed.event
    asked = [entry for entry in entries if parsed.pipeline in ("", entry.name)]
    chosen = [e for e in asked if e.error is not None or wanted(e.triggers, event)]
    if not chosen:
        if not entries:
            raise Unwanted(f"commit {event.commit}: no file of it has `async def run(event, step)`")
        reason = f"no pipeline runs on {event.kind} of {event.ref}"
        if parsed.is_tried and asked:
            raise Unwanted("; ".join(_unwanting(asked, event)))
        if parsed.pipeline:
            reason = f"commit {event.commit} has no pipeline {parsed.pipeline!r}"
        raise Unwanted(f"{reason} (there is: {', '.join(entry.name for entry in entries)})")
    return chosen


def _unwanting(entries: list[PipelineEntry], event: Event) -> list[str]:
    """Of each pipeline that does not want the event, why."""
    return [
        f"{entry.name} does not run on {event.kind} of {event.ref}:"
        f" {why_unwanted(entry.triggers, event)}"
        for entry in entries
        if entry.error is None and not wanted(entry.triggers, event)
    ]
