"""CommentCommands: what somebody wished for in a comment on a pull request, done or refused.

The comment is a stranger's until the Forge's API has said that its author may write to the Repo:
whoever may that could push to it, so no command gives more than they have. Nor does a comment say
which commit it is about: that is asked too, and must be the one that is named.

A comment is obeyed once, however often a Forge tells of it: some give each call a new id, so it is
known by its own. What it means is kept before anything is done, so that whoever goes on after a
crash does that and nothing else; each act is known again by the comment; and what came of it is
kept at the end. An approval of a commit needs none of it: the commit is named, and has one Run.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import structlog

from ci_host.access import Token
from ci_host.comment_ports import CommandAnswer, CommentBook, TakenCommand
from ci_host.engine.admissions import Admissions, Explained, full
from ci_host.engine.comment_gates import CommentGates
from ci_host.engine.continuations import end_of_chain
from ci_host.engine.forge_reruns import ForgeReruns
from ci_host.engine.people import People, PersonRefused
from ci_host.engine.pipeline_files import PipelineFiles
from ci_host.ports import HistoryStore, NoPipeline, Source, SourceRefused, Unavailable
from ci_host.tenant.sandbox import TenantFailed
from pipelines.event import Event, EventKind, PullRequest
from pipelines.ids import RunId, digest_of
from pipelines.repo import Repo
from pipelines.rerun import rerun_id
from pipelines.run import FINAL
from pipelines.trigger import READY, run_of
from pipelines.trust import Admission, PullFacts
from webhooks.forge import Again, Command, CommandWord

ATTEMPTS_LOOKED_AT_MAX = 1_000
REFUSAL_CHARS_MAX = 2_000
# How far the clocks of a Forge and of the bus may be apart.
CLOCKS_APART_S = 30.0

log = structlog.get_logger()


@dataclass(slots=True)
class Obeyed:
    """What was done: Runs that began, what is to be told, and an event that is to be started."""

    runs: list[RunId] = field(default_factory=list)
    said: str = ""
    start: Event | None = None


class CommentCommands:
    """`shards` is how many there are now. `book`: where commands and answers are kept; None:
    nowhere, and none are given.
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
        base_url: str = "",
    ) -> None:
        self._book, self._answers = book, answers
        self._admissions = admissions
        self._source = source
        self._files = files
        self._history = history
        self._people = people
        self._reruns = reruns
        self._shards = shards
        self._gates = CommentGates(history, people, base_url)

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
        """Do it, once for each comment. `event` has ref and delivery.

        Raises PersonRefused: not theirs to wish, or it cannot be done. Raises SourceUnavailable,
        Unavailable: to be asked again.
        """
        if command.word is CommandWord.OK_TO_TEST:
            await self._asked_about(repo, command)
            return await self._approve(repo, command)
        wish = _wish_of(event, command)
        taken = None if self._book is None else await self._book.taken(repo.id, wish)
        if taken is not None and taken.is_done:
            return await self._seen_to(repo, command, taken)
        taken = taken or TakenCommand(repo=repo.id, wish=wish)
        try:
            if not taken.meant:
                taken = await self._take(await self._meant(repo, event, command, taken))
            obeyed = None if taken.is_done else await self._do(repo, event, command, taken)
        except (PersonRefused, SourceRefused) as refused:
            await self._finish(taken, Obeyed(said=str(refused)), is_refused=True)
            raise
        if obeyed is None:
            # Told of twice at once, and somebody else was faster.
            return await self._seen_to(repo, command, taken)
        await self._finish(taken, obeyed)
        return obeyed

    async def _asked_about(self, repo: Repo, command: Command) -> Explained:
        """What the Forge says of the pull request, once it has said who may command anything."""
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
        return explained

    async def _meant(
        self, repo: Repo, event: Event, command: Command, taken: TakenCommand
    ) -> TakenCommand:
        """With the Runs that it is for."""
        explained = await self._asked_about(repo, command)
        runs, commit = await self._runs(repo, event, explained, command.number)
        gate = ""
        if command.word is CommandWord.CANCEL:
            runs = await self._living(runs, command)
        if command.word is CommandWord.APPROVE:
            newest = [
                await end_of_chain(self._history, (await self._attempts(run))[-1]) for run in runs
            ]
            found = await self._gates.meant(newest, command, commit)
            runs, gate = [found.run], found.key
        return msgspec.structs.replace(taken, commit=commit, meant=runs, gate=gate)

    async def _do(self, repo: Repo, event: Event, command: Command, taken: TakenCommand) -> Obeyed:
        if command.word is CommandWord.CANCEL:
            return await self._cancel(repo, command, taken)
        if command.word is CommandWord.APPROVE:
            (run,) = taken.meant
            return Obeyed(said=await self._gates.open(repo, run, taken.gate, command))
        return await self._rerun(repo, event, taken)

    async def _take(self, command: TakenCommand) -> TakenCommand:
        """What it means from now on: whoever took it first has said so."""
        return command if self._book is None else await self._book.take(command)

    async def _finish(self, taken: TakenCommand, came: Obeyed, *, is_refused: bool = False) -> None:
        if self._book is None:
            return
        done = msgspec.structs.replace(
            taken,
            is_done=True,
            is_refused=is_refused,
            said=came.said[:REFUSAL_CHARS_MAX],
            begun=came.runs,
        )
        if taken.meant:
            await self._book.finish(done)
        else:
            # It was refused before it meant anything; to somebody else it may have.
            await self._book.take(done)

    async def _seen_to(self, repo: Repo, command: Command, done: TakenCommand) -> Obeyed:
        """What came of it when it was done. Raises PersonRefused, as then."""
        before = f"{done.wish} was seen to before, and is not a second time"
        if done.is_refused:
            # Whoever did so may have died before the answer.
            await self.answer(repo, command, done.said)
            raise PersonRefused(409, f"{before}; write a new one. It did nothing then: {done.said}")
        return Obeyed(done.begun, "; ".join(filter(None, (before, done.said))))

    async def _approve(self, repo: Repo, command: Command) -> Obeyed:
        who = _person(repo, command)
        held = await self._admissions.approve(
            repo, command.number, command.commit, who, is_writer=True
        )
        return Obeyed(said=f"{who.name} approved commit {command.commit}", start=held.event)

    async def _rerun(self, repo: Repo, event: Event, taken: TakenCommand) -> Obeyed:
        obeyed, reasons = Obeyed(), []
        head = Event(kind=EventKind.MANUAL, commit=taken.commit, sender=event.sender)
        for run in taken.meant:
            begun = await self._reruns.begin(repo, head, Again(run=run), taken.wish)
            obeyed.runs += begun.runs
            reasons += begun.reasons
        if not obeyed.runs:
            raise PersonRefused(409, "; ".join(reasons))
        obeyed.said = "; ".join(reasons)
        return obeyed

    async def _cancel(self, repo: Repo, command: Command, taken: TakenCommand) -> Obeyed:
        who, reason = _person(repo, command), "a comment on the pull request asked for it"
        id_ = digest_of(f"{repo.id} {taken.wish}".encode())
        cancelled, reasons = [], []
        for run in taken.meant:
            try:
                await self._people.cancel(run, reason, who, id_)
                cancelled.append(run)
            except PersonRefused as over:
                reasons.append(str(over))
        if not cancelled:
            raise PersonRefused(409, "; ".join(reasons))
        return Obeyed(said=f"{who.name} had {', '.join(cancelled)} cancelled")

    async def _living(self, runs: list[RunId], command: Command) -> list[RunId]:
        """What of them is not over, and was there when the comment was written.

        Raises PersonRefused where there is none.
        """
        later: list[RunId] = []
        living: list[RunId] = []
        for run in runs:
            for attempt in await self._attempts(run):
                last = await end_of_chain(self._history, attempt)
                if await self._history.state(last) in FINAL:
                    continue
                began = (await self._history.inputs_after(attempt, 0, at_most=1))[0].at
                is_later = command.at and began > command.at + CLOCKS_APART_S
                (later if is_later else living).append(last)
        if living:
            return living
        if later:
            raise PersonRefused(
                409,
                f"what runs now, {', '.join(later)}, began after the comment was written; write"
                " it again if that is meant",
            )
        raise PersonRefused(409, "all of its runs are over")

    async def _runs(
        self, repo: Repo, event: Event, explained: Explained, number: int
    ) -> tuple[list[RunId], str]:
        """The first attempts of the head's Runs, and which commit that is.

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
        return found, facts.head_commit

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


def _wish_of(event: Event, command: Command) -> str:
    """What names it however often it comes: a Forge may give each call an id of its own."""
    return f"comment {command.comment}" if command.comment else f"delivery {event.delivery}"


def _person(repo: Repo, command: Command) -> Token:
    # Not the name of a person here: somebody else may be called so.
    return Token(digest="", name=f"{command.login} ({repo.connection})")
