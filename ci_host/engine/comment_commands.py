"""CommentCommands: what somebody wished for in a comment on a pull request, done or refused.

The comment is a stranger's until the Forge's API has said that its author may write to the Repo:
whoever may that could push to it, so no command gives more than they have. Nor does a comment say
which commit it is about: that is asked too, and must be the one that is named. May be done twice.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from ci_host.access import Token
from ci_host.comment_ports import CommandAnswer, CommentBook
from ci_host.engine.admissions import Admissions, Explained, full
from ci_host.engine.continuations import end_of_chain
from ci_host.engine.forge_reruns import ForgeReruns
from ci_host.engine.people import People, PersonRefused
from ci_host.engine.pipeline_files import PipelineFiles
from ci_host.ports import HistoryStore, NoPipeline, Source, SourceRefused, Unavailable
from ci_host.tenant.sandbox import TenantFailed
from pipelines.event import Event, EventKind, PullRequest
from pipelines.ids import RunId
from pipelines.repo import Repo
from pipelines.rerun import rerun_id
from pipelines.run import FINAL
from pipelines.trigger import READY, run_of
from pipelines.trust import Admission, PullFacts
from webhooks.forge import Again, Command, CommandWord

ATTEMPTS_LOOKED_AT_MAX = 1_000
REFUSAL_CHARS_MAX = 2_000

log = structlog.get_logger()


@dataclass(slots=True)
class Obeyed:
    """What was done: Runs that began, what is to be told, and an event that is to be started."""

    runs: list[RunId] = field(default_factory=list)
    said: str = ""
    start: Event | None = None


class CommentCommands:
    """`shards` is how many there are now. `book`: where answers are kept; None: none are given.
    `answers`: whether they are given in a Repo, by connection, repo id and name."""

    def __init__(
        self,
        admissions: Admissions,
        source: Source,
        files: PipelineFiles,
        history: HistoryStore,
        people: People,
        reruns: ForgeReruns,
        book: CommentBook | None = None,
        answers: Callable[[str, str, str], bool] = lambda *_: True,
        *,
        shards: int,
    ) -> None:
        self._book, self._answers = book, answers
        self._admissions = admissions
        self._source = source
        self._files = files
        self._history = history
        self._people = people
        self._reruns = reruns
        self._shards = shards

    async def answer(self, repo: Repo, command: Command, refusal: str = "") -> None:
        """Have whoever wrote it told, once, that it was obeyed, or why not."""
        place = (repo.connection, repo.id, repo.name)
        if self._book is None or not command.comment or not self._answers(*place):
            return
        answer = CommandAnswer(
            connection=repo.connection,
            repo=repo.id,
            repo_name=repo.name,
            number=command.number,
            comment=command.comment,
            word=command.word,
            accepted=not refusal,
            said=refusal[:REFUSAL_CHARS_MAX],
        )
        try:
            await self._book.answer(answer)
        except Unavailable as error:
            # What was asked for is done; the outcome of the delivery says so.
            log.warning("command_not_answered", repo=repo.id, reason=str(error))

    async def obey(self, repo: Repo, event: Event, command: Command) -> Obeyed:
        """Do it. `event` has ref and delivery.

        Raises PersonRefused: not theirs to wish, or it cannot be done. Raises SourceUnavailable,
        Unavailable: to be asked again.
        """
        explained = await self._admissions.explain(repo, command.number)
        await self._admissions.check_writer(repo, command.login)
        facts = explained.facts
        assert facts is not None, "an explanation without facts is refused"
        if not facts.is_open and command.word is not CommandWord.CANCEL:
            raise PersonRefused(409, f"pull request {command.number} is closed; reopen it first")
        if command.commit not in ("", facts.head_commit):
            raise PersonRefused(
                409,
                f"pull request {command.number} is at {facts.head_commit} by now, and not at"
                f" {command.commit}; look at what was pushed since",
            )
        # Not the name of a person here: somebody else may be called so.
        who = Token(digest="", name=f"{command.login} ({repo.connection})")
        match command.word:
            case CommandWord.OK_TO_TEST:
                return await self._approve(repo, command, who)
            case CommandWord.RERUN:
                return await self._rerun(repo, event, explained, command.number)
            case CommandWord.CANCEL:
                return await self._cancel(repo, event, explained, command.number, who)

    async def _approve(self, repo: Repo, command: Command, who: Token) -> Obeyed:
        held = await self._admissions.approve(
            repo, command.number, command.commit, who, is_writer=True
        )
        return Obeyed(said=f"{who.name} approved commit {command.commit}", start=held.event)

    async def _rerun(self, repo: Repo, event: Event, explained: Explained, number: int) -> Obeyed:
        obeyed, reasons = Obeyed(), []
        runs, head = await self._runs(repo, event, explained, number)
        for run in runs:
            begun = await self._reruns.begin(repo, head, Again(run=run))
            obeyed.runs += begun.runs
            reasons += begun.reasons
        if not obeyed.runs:
            raise PersonRefused(409, "; ".join(reasons))
        obeyed.said = "; ".join(reasons)
        return obeyed

    async def _cancel(
        self, repo: Repo, event: Event, explained: Explained, number: int, who: Token
    ) -> Obeyed:
        runs, _ = await self._runs(repo, event, explained, number)
        living = [
            last
            for run in runs
            for attempt in await self._attempts(run)
            if await self._history.state(last := await end_of_chain(self._history, attempt))
            not in FINAL
        ]
        if not living:
            raise PersonRefused(409, "all of its runs are over")
        cancelled, reasons = [], []
        for run in living:
            try:
                await self._people.cancel(run, "a comment on the pull request asked for it", who)
                cancelled.append(run)
            except PersonRefused as over:
                reasons.append(str(over))
        if not cancelled:
            raise PersonRefused(409, "; ".join(reasons))
        return Obeyed(said=f"{who.name} had {', '.join(cancelled)} cancelled")

    async def _runs(
        self, repo: Repo, event: Event, explained: Explained, number: int
    ) -> tuple[list[RunId], Event]:
        """The first attempts of the head's Runs, and the event to begin them again with.

        Derived as they were when they began. Raises PersonRefused where there are none.
        """
        facts = explained.facts
        assert facts is not None, "asked of pull requests that the Forge knows"
        names = await self._names(repo, event, explained, facts)
        asked = [
            Event(
                kind=EventKind.PULL_REQUEST,
                ref=event.ref,
                commit=facts.head_commit,
                pull_request=PullRequest(
                    number=number, action=action, base_ref=facts.base_ref, head_ref=facts.head_ref
                ),
            )
            for action in ("synchronize", READY)
        ]
        if facts.head_repo == facts.base_repo and facts.head_ref:
            ref = full(facts.head_ref)
            asked.append(Event(kind=EventKind.PUSH, ref=ref, commit=facts.head_commit))
        found = [
            run
            for one in asked
            for name in names
            if await self._history.started(run := run_of(repo.id, one, name, shards=self._shards))
        ]
        if not found:
            raise PersonRefused(404, f"nothing has run of its commit {facts.head_commit}")
        head = Event(
            kind=EventKind.MANUAL,
            commit=facts.head_commit,
            sender=event.sender,
            delivery=event.delivery,
        )
        return found, head

    async def _names(
        self, repo: Repo, event: Event, explained: Explained, facts: PullFacts
    ) -> list[str]:
        """The pipelines that the head may have run: of code that may be read, and no other."""
        verdict = explained.verdict
        if verdict.is_held or verdict.admission is Admission.REFUSE:
            raise PersonRefused(409, f"nothing of it may run: {verdict.why}")
        ref, commit = event.ref, facts.head_commit
        try:
            if verdict.admission is Admission.BASE:
                ref = full(facts.base_ref)
                tip = await asyncio.to_thread(self._source.tip, repo, ref)
                if tip is None:
                    raise PersonRefused(409, f"{repo.name} has no {ref}, whose pipelines would run")
                commit = tip
            code = await self._files.at(repo, commit, ref)
        except (NoPipeline, SourceRefused, TenantFailed) as error:
            raise PersonRefused(409, str(error)) from error
        return [entry.name for entry in code.entries]

    async def _attempts(self, run: RunId) -> list[RunId]:
        """All that were made of a Run, the first one first."""
        found = [run]
        for number in range(2, ATTEMPTS_LOOKED_AT_MAX + 1):
            attempt = rerun_id(run, number, shards=self._shards)
            if await self._history.started(attempt) is None:
                break
            found.append(attempt)
        return found
