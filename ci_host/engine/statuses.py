"""Statuses: what a Forge is told about each Turn. A consumer of Turns puts them into the outbox.

From there they are told by `status_delivery.py`.
"""

import asyncio
import hashlib
import shlex
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec
import structlog

from ci_host.announcement_ports import Announcements
from ci_host.engine.announcements import announcements_of
from ci_host.engine.run_reports import RunReport, run_report
from ci_host.ports import Damaged, HistoryStore, Queue, TurnNews, Unavailable
from ci_host.status_ports import StatusOutbox
from pipelines.commands import GateTerms, Result, StepKind, StepState
from pipelines.events import RunStarted
from pipelines.failure import Failure
from pipelines.ids import RunId
from pipelines.run import RunState
from pipelines.status import (
    OF_RUN,
    OF_STATE,
    SUMMARY_BYTES_MAX,
    Standing,
    Status,
    StatusState,
    context_of,
    cut,
    gate_mark,
    shorten,
)
from pipelines.turn import ENDED_BY_HOST, End, Turn

STARTED_CACHED_MAX = 1_000
# While the outbox takes nothing.
OUTBOX_RETRY_S = 1.0
# A Turn that nobody began is somebody's mischief on the bus, and must not stop the others for long.
LOOKS_FOR_START_MAX = 5

OF_STEP: dict[StepState, StatusState] = {
    StepState.SUCCEEDED: StatusState.SUCCESS,
    StepState.FAILED: StatusState.FAILURE,
    StepState.TIMED_OUT: StatusState.FAILURE,
    StepState.CANCELLED: StatusState.ERROR,
}
# Names of errors.
TIMED_OUT = frozenset({"RunTimedOut", "StepTimedOut", "GateTimedOut"})

log = structlog.get_logger()


def is_told(started: RunStarted) -> bool:
    """Whether a Forge hears of this Run at all.

    What a child does, its parent tells: else both would speak about the same commit. A fork has
    other inputs or takes over what another commit came to: no commit is good or bad because of it.
    """
    return bool(started.event.commit) and started.parent is None and started.fork is None


def statuses_of(
    started: RunStarted, turn: Turn, base_url: str, report: RunReport | None = None
) -> Iterator[Status]:
    """What this Turn changes on the commit, in order. `report`: of a Run that is over with it."""
    run_context, page = context_of(started.event, started.pipeline), _page_of(started, base_url)
    if (standing := _beginning(turn)) is not None:
        said = "running"
        if standing is Standing.QUEUED and turn.open.group is not None:
            said = f"waits for its turn in {turn.open.group.key}"
        told = _status(started, turn, run_context, StatusState.PENDING, said, page)
        yield _more(told, standing, began_at=turn.now)
    for command in turn.commands:
        if command.kind is StepKind.GATE and command.gate is not None:
            context, said = f"{run_context}/{command.key}", _waiting_for(command.gate)
            told = _status(started, turn, context, StatusState.PENDING, said, page)
            how = _how_to_answer(started.run, command.key, command.gate, page)
            mark = gate_mark(started.run, command.key)
            gate = mark if _has_button(command.gate, started.connection) else ""
            yield _more(told, Standing.WAITING, began_at=turn.now, summary=how, gate=gate)
    for result in turn.results:
        if result.kind is StepKind.GATE and result.state in OF_STEP:
            said = result.error.message if result.error else _how_it_ended(result)
            context = f"{run_context}/{result.key}"
            told = _status(started, turn, context, OF_STEP[result.state], said, page)
            yield _more(told, Standing(result.state))
    # Nobody calls a commit good whose pipeline goes on in another Run.
    if turn.end is not None and turn.state is not RunState.CONTINUED:
        state, said = _of_end(turn)
        told = _status(started, turn, run_context, state, said, page)
        more = {} if report is None else msgspec.structs.asdict(report)
        yield _more(told, _standing_of(turn.end, state), is_last=True, **more)


def waits_of(started: RunStarted, turn: Turn, base_url: str) -> Iterator[Status]:
    """What a Run says of itself while its gates are open, for Forges that show reports.

    GitHub calls a check stale that is unfinished for 14 days: one that waits for nothing but people
    says that it does, and that it goes on when it does.
    """
    wanted = turn.open
    answered = any(one.kind is StepKind.GATE and one.state in OF_STEP for one in turn.results)
    if turn.end is not None or not (wanted.gates or answered):
        return
    works = (
        wanted.jobs or wanted.pauses or wanted.waits or any(not c.detached for c in wanted.calls)
    )
    standing, said = Standing.RUNNING, "running"
    if wanted.gates and not works:
        standing, said = Standing.WAITING, f"waits at {', '.join(g.key for g in wanted.gates)}"
    page = _page_of(started, base_url)
    context = context_of(started.event, started.pipeline)
    told = _status(started, turn, context, StatusState.PENDING, said, page)
    # In the Turn in which it began it says two things.
    yield _more(
        told, standing, id=hashlib.sha256(f"{told.id} {standing}".encode()).hexdigest()[:32]
    )


def _beginning(turn: Turn) -> Standing | None:
    """What a Turn with which a Run begins says of it; None: it has begun before."""
    group = turn.open.group
    is_outside = group is not None and not group.entered
    if turn.number == 1:
        return Standing.QUEUED if is_outside and turn.end is None else Standing.RUNNING
    # Nothing was asked for before it was let in: these are its first steps.
    steps = 0 if turn.usage is None else turn.usage.steps
    is_let_in = group is not None and group.entered and 0 < steps == len(turn.commands)
    return Standing.RUNNING if is_let_in else None


def _has_button(terms: GateTerms, connection: str) -> bool:
    """Whether somebody of the Forge could open it with nothing but a press."""
    is_asked = any(
        (rule := terms.rules.get(name)) is None or rule.required for name in terms.inputs
    )
    is_named = any(one.endswith(f"@{connection}") for one in terms.approvers)
    return not is_asked and (is_named or not terms.approvers)


def _more(told: Status, standing: Standing, **more: Any) -> Status:  # noqa: ANN401 its own fields
    return msgspec.structs.replace(told, standing=standing, **more)


def _standing_of(end: End, state: StatusState) -> Standing:
    if end.error is not None and end.error.type in TIMED_OUT:
        return Standing.TIMED_OUT
    return Standing.CANCELLED if end.state is RunState.CANCELLED else OF_STATE[state]


def said_of_end(turn: Turn) -> str:
    """How a Run that is over ended, in one line."""
    return _of_end(turn)[1]


def _page_of(started: RunStarted, base_url: str) -> str:
    return f"{base_url}/runs/{started.run}"


def _how_it_ended(result: Result) -> str:
    if result.state is not StepState.SUCCEEDED:
        return "closed before it was answered"
    return "opened" if result.value["by"] else "opened by its timeout"


def _waiting_for(terms: GateTerms) -> str:
    who = ", ".join(terms.approvers) or "anybody"
    return f"waiting for approval by {who}" + (f" ({terms.needed})" if terms.needed > 1 else "")


def _how_to_answer(run: str, key: str, terms: GateTerms, page: str) -> str:
    """In Markdown, for whoever has found the gate on the commit."""
    message = f"{terms.message}\n\n" if terms.message else ""
    words = f"staunch approve {shlex.quote(run)} {shlex.quote(key)}"
    text = f"{message}Answer it on [the run's page]({page}), or with\n\n    {words}\n"
    return cut(text, SUMMARY_BYTES_MAX, f"[The run's page]({page})")


def _of_end(turn: Turn) -> tuple[StatusState, str]:
    assert turn.end is not None
    if turn.end.state is RunState.FAILED and turn.end.error is not None:
        error = turn.end.error
        # A step that failed is the change's failure; anything else is an error of the pipeline.
        state = StatusState.FAILURE if error.step else StatusState.ERROR
        return state, describe(error)
    said = str(turn.end.state)
    if turn.end.error is not None:
        by_host = turn.digest == ENDED_BY_HOST
        said = turn.end.error.message if by_host else describe(turn.end.error)
    return OF_RUN[turn.end.state], said


def describe(error: Failure) -> str:
    """A Failure in one line, place first."""
    return f"{error.where()}: {error.message}" if error.where() else error.message


def _status(
    started: RunStarted,
    turn: Turn,
    context: str,
    state: StatusState,
    said: str,
    page: str,
) -> Status:
    name = f"{started.run} {turn.number} {context} {state}"
    return Status(
        id=hashlib.sha256(name.encode()).hexdigest()[:32],
        connection=started.connection,
        repo=started.repo.removeprefix(f"{started.connection}/"),
        repo_name=started.repo_name,
        commit=started.event.commit,
        context=context,
        state=state,
        description=shorten(said),
        target_url=page,
        at=turn.now,
        run=started.continues.first if started.continues is not None else started.run,
    )


class PullNews(Protocol):
    """Where Turns are told for the comments under pull requests. See PullReports."""

    def follows(self, started: RunStarted) -> bool:
        """Whether what this Run does is shown in one."""

    async def tell(self, started: RunStarted, turn: Turn, told: Sequence[Status]) -> None:
        """What this Turn says of the commit. Raises Unavailable."""


class StatusReporter:
    """Turns into the outbox. `shows_reports`: whether a Connection's Forge shows what jobs say.
    `pulls`, `announcements`: told besides, the latter of every Run."""

    def __init__(
        self,
        turns: Queue[TurnNews],
        history: HistoryStore,
        outbox: StatusOutbox,
        base_url: str,
        shows_reports: Callable[[str], bool],
        pulls: PullNews | None = None,
        announcements: Announcements | None = None,
    ) -> None:
        self._announcements = announcements
        self._pulls = pulls
        self._shows_reports = shows_reports
        self._turns = turns
        self._history = history
        self._outbox = outbox
        self._base_url = base_url
        self._started: OrderedDict[RunId, RunStarted] = OrderedDict()

    async def serve(self) -> None:
        """Report for ever. A Turn is done when its Statuses are in the outbox."""
        async for owed in self._turns:
            tries = 1
            # Tried again here and not brought again later: no Status may overtake another.
            while not await self._is_reported(owed.item, tries):
                await owed.extend()
                await asyncio.sleep(OUTBOX_RETRY_S)
                tries += 1
            await owed.done()

    async def _is_reported(self, news: TurnNews, tries: int) -> bool:
        try:
            await self._report(news, is_last_try=tries > LOOKS_FOR_START_MAX)
        except Unavailable as error:
            log.warning("status_not_kept", run=news.run, reason=str(error))
            return False
        except Exception:
            # The edge to what others have stored: it would end the host, and again at every start.
            log.exception("turn_not_reported", run=news.run, turn=news.turn.number)
        return True

    async def _report(self, news: TurnNews, *, is_last_try: bool) -> None:
        started = await self._start_of(news.run)
        if started is None and not is_last_try:
            # What has a Turn was begun: one of a cluster's servers does not have it yet.
            raise Unavailable(f"the store's answer for {news.run} does not reach its beginning yet")
        if started is None:
            return
        if self._announcements is not None:
            for one in announcements_of(started, news.turn, self._base_url):
                await self._announcements.put(one)
        if not is_told(started):
            return
        report = await self._report_of(started, news)
        told = list(statuses_of(started, news.turn, self._base_url, report))
        waits = list(waits_of(started, news.turn, self._base_url))
        for status in [*told, *(waits if self._shows_reports(started.connection) else [])]:
            await self._outbox.put(status)
        if self._pulls is not None and self._pulls.follows(started):
            await self._tell_pulls(self._pulls, started, news, [*told, *waits], is_last=is_last_try)

    async def _tell_pulls(
        self,
        pulls: PullNews,
        started: RunStarted,
        news: TurnNews,
        told: list[Status],
        *,
        is_last: bool,
    ) -> None:
        try:
            await pulls.tell(started, news.turn, told)
        except Unavailable as error:
            if not is_last:
                raise
            # The statuses are told, and those of later Turns are not to wait for a comment.
            log.warning("pull_report_lost", run=news.run, reason=str(error))

    async def _report_of(self, started: RunStarted, news: TurnNews) -> RunReport | None:
        if news.turn.end is None or not self._shows_reports(started.connection):
            return None
        try:
            inputs = await self._history.inputs_after(news.run, 0)
        except Damaged as error:
            # The verdict is told nevertheless.
            log.warning("reports_lost", run=news.run, reason=str(error))
            return None
        page = _page_of(started, self._base_url)
        return run_report(inputs, news.turn, said_of_end(news.turn), page)

    async def _start_of(self, run: RunId) -> RunStarted | None:
        if run not in self._started:
            started = await self._history.started(run)
            if started is None:
                return None
            self._started[run] = started
            if len(self._started) > STARTED_CACHED_MAX:
                self._started.popitem(last=False)
        return self._started[run]
