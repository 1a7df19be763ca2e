"""Turns: how one Turn is made from new inputs, committed, and followed by its effects.

The order is the protocol (DESIGN: append, then effects, then acknowledgement) and lives here and in
`actors.py`. What a Turn may be is `pipelines/turn.py`, what follows from it `pipelines/history.py`.
"""

from dataclasses import replace

import msgspec
import structlog

from ci_host.engine.children import Children
from ci_host.engine.continuations import AT_ONCE_MAX, Continuations, is_endless
from ci_host.engine.groups import Concurrency
from ci_host.engine.live import Live, timed
from ci_host.engine.sandbox_threads import SandboxThreads
from ci_host.ports import Groups, HistoryStore, Jobs, StoredInput
from ci_host.tenant.breaches import broken
from ci_host.tenant.sandbox import TenantFailed, TurnInputs
from pipelines.codec import encode_input, encode_turn
from pipelines.commands import Open, OpenCall, OpenJob, Result, StepKind, StepState
from pipelines.events import KillRequested, PauseRequested, TimerFired
from pipelines.failure import Failure, FailureKind
from pipelines.history import Armed, Effects, repair_of, usage_after
from pipelines.ids import RunId, StepKey, job_id
from pipelines.job import JobSpec
from pipelines.near_limits import NearLimit, broken_limit, crossed
from pipelines.pause import RESUMING
from pipelines.plausible import implausible
from pipelines.run import FINAL, Move, RunState, after
from pipelines.status import shorten
from pipelines.trust import Tier
from pipelines.turn import ENDED_BY_HOST, End, Paused, Turn, TurnOutcome

MOVE_TO = {
    RunState.SUCCEEDED: Move.SUCCEEDED,
    RunState.FAILED: Move.FAILED,
    RunState.CANCELLED: Move.CANCELLED,
    RunState.CONTINUED: Move.CONTINUED,
}

BRIEF_CHARS = 200
REASON_CHARS_MAX = 2_000

log = structlog.get_logger()


class TurnMaker:
    """Makes Turns and their effects for Live Runs. `incarnation` names this engine's life."""

    def __init__(
        self,
        history: HistoryStore,
        jobs: Jobs,
        groups: Groups,
        threads: SandboxThreads,
        incarnation: str,
    ) -> None:
        self._history = history
        self._jobs = jobs
        self._children = Children(history)
        self._continuations = Continuations(history)
        self._concurrency = Concurrency(groups, history)
        self._threads = threads
        self._incarnation = incarnation

    async def decide(self, live: Live, inputs: list[StoredInput]) -> Turn:
        """Ask the plan. Its own mistakes become a failing Turn. Raises SandboxStarved."""
        tenant = live.tenant
        assert tenant is not None
        given = TurnInputs(
            [timed(stored) for stored in inputs], history_bytes=live.view.usage.history_bytes
        )
        try:
            (outcome,) = await self._threads.run(live.run, lambda: tenant.advance([given]))
        except TenantFailed as error:
            return self.failing(live, inputs, error.failure)
        times = [time for one in inputs for time in _times(one)]
        above = live.started.parent.depth if live.started.parent is not None else 0
        wrong = implausible(live.view, outcome, times, depth=above)
        if wrong is not None:
            return self.failing(live, inputs, broken(wrong).failure)
        turn = self._turn(live, inputs, outcome)
        if turn.state is RunState.CONTINUED and is_endless(live.started, turn.number):
            return self.failing(live, inputs, _endless())
        limit = broken_limit(usage_after(live.view.usage, turn))
        return turn if limit is None else self.failing(live, inputs, _over(limit))

    def failing(self, live: Live, inputs: list[StoredInput], failure: Failure) -> Turn:
        """The Turn that ends a Run for a reason that its plan could not decide itself."""
        return self._ending(live, inputs, RunState.FAILED, failure)

    def killing(self, live: Live, inputs: list[StoredInput], kill: KillRequested) -> Turn:
        """The Turn that ends a Run because a person wants it at once. Its plan is not asked."""
        return self._ending(live, inputs, RunState.CANCELLED, _killed(kill))

    def _ending(
        self, live: Live, inputs: list[StoredInput], state: RunState, failure: Failure
    ) -> Turn:
        open_jobs = [
            OpenJob(key=job.key, attempt=job.attempt, cancelling=True)
            for job in live.view.open.jobs
        ]
        open_calls = [
            OpenCall(key=call.key, cancelling=not call.detached, detached=call.detached)
            for call in live.view.open.calls
        ]
        group = live.view.open.group
        # As often as there are gates, and this Turn must fit: nothing else can end the Run.
        brief = msgspec.structs.replace(
            failure, message=shorten(failure.message, BRIEF_CHARS), traceback=""
        )
        # A gate that nobody can open any more must not stay pending on the commit.
        gates = [
            Result(kind=StepKind.GATE, key=gate.key, state=StepState.CANCELLED, error=brief)
            for gate in live.view.open.gates
        ]
        outcome = TurnOutcome(
            results=gates,
            now=max([live.view.now, *(stored.at for stored in inputs)]),
            digest=ENDED_BY_HOST,
            open=Open(
                jobs=open_jobs,
                calls=open_calls,
                group=msgspec.structs.replace(group, leaving=True) if group is not None else None,
            ),
            end=End(state=state, error=failure),
        )
        return self._turn(live, inputs, outcome)

    def _turn(self, live: Live, inputs: list[StoredInput], outcome: TurnOutcome) -> Turn:
        state = _state_after(live.view.state, inputs, outcome.end)
        sequences = [stored.sequence for stored in inputs]
        turn = Turn(
            number=live.view.number + 1,
            consumed=sequences,
            through=max([live.view.through, *sequences]),
            by=self._incarnation,
            now=max(live.view.now, outcome.now),
            digest=outcome.digest,
            state=state,
            commands=outcome.commands,
            results=outcome.results,
            open=outcome.open,
            wake_at=outcome.wake_at,
            end=outcome.end,
            printed=outcome.printed,
            note=outcome.note,
            pins=live.pins if live.view.number == 0 else None,
            paused=_paused(inputs[-1]) if state is RunState.PAUSED else None,
        )
        usage = live.view.usage.plus(
            events=len(inputs),
            steps=outcome.steps,
            input_bytes=sum(len(encode_input(stored.input)) for stored in inputs),
            turn_bytes=len(encode_turn(turn)),
        )
        return msgspec.structs.replace(turn, usage=usage)

    async def commit(self, live: Live, turn: Turn, inputs: list[StoredInput]) -> None:
        """Append the Turn: from here on it has happened. Raises Conflict, Unavailable."""
        sequence = await self._history.append_turn(live.run, turn, after=live.view.turn_sequence)
        before, live.view = live.view, live.view.after(turn, sequence)
        for near in crossed(before.usage, live.view.usage):
            log.warning("run_near_a_limit", run=live.run, limit=near.limit, said=near.words())
        if any(_is_wake(stored, live.armed) for stored in inputs):
            # A schedule is gone once it has fired.
            live.armed = Armed(None, is_sure=live.armed.is_sure)

    async def begin_successor(self, live: Live, turn: Turn) -> None:
        """The very first effect of a Run that continues as new: whatever comes then is for it."""
        await self._continuations.begin(live.started, turn)

    async def perform(self, live: Live, effects: Effects, *, repair: bool) -> None:
        """Make the world as the History wants it; every part may be done twice."""
        for job in effects.offer:
            await self._offer(live, job, repair=repair)
        for job in effects.cancel:
            await self._cancel(live.run, job)
        for call in effects.call:
            await self._children.begin(live.started, live.view, call)
        for call in effects.recall:
            await self._children.stop(live.started, live.view, call)
        if effects.enter is not None:
            await self._concurrency.enter(live.started, effects.enter)
        if effects.leave is not None:
            is_continued = live.view.state is RunState.CONTINUED
            await self._concurrency.leave(live.started, effects.leave, is_continued=is_continued)
        if effects.arm is not None:
            await self._history.arm(live.run, effects.arm)
            live.armed = Armed(effects.arm)
        elif effects.disarm:
            await self._history.disarm(live.run)
            live.armed = Armed(None)

    async def tell(self, live: Live, turn: Turn, newest: int) -> None:
        """The very last effect of a Run that is over: whoever waits hears of it.

        One that was continued tells nobody, and passes on what it was told itself, as far as
        the input `newest` at least. Raises Unavailable.
        """
        if turn.state is RunState.CONTINUED:
            await self._continuations.pass_on(live.started, turn, newest)
        else:
            await self._children.tell_parent(live.started, turn)

    async def settle_finished(self, live: Live, turn: Turn, newest: int) -> None:
        """The last effects of a Run that is over, and no timer. May be repeated."""
        await self.begin_successor(live, turn)
        await self.perform(live, replace(repair_of(live.view, Armed()), disarm=True), repair=True)
        await self.tell(live, turn, newest)

    async def _cancel(self, run: RunId, job: OpenJob) -> None:
        identity = job_id(run, StepKey(job.key), job.attempt)
        await self._jobs.cancel(identity, f"no longer wanted by run {run}")

    async def _offer(self, live: Live, job: OpenJob, *, repair: bool) -> None:
        identity = job_id(live.run, StepKey(job.key), job.attempt)
        if repair and await self._jobs.is_claimed(identity):
            return
        await self._jobs.publish(spec_of(live, job))


def spec_of(live: Live, job: OpenJob) -> JobSpec:
    """What a Runner is told: the plan's request with the Run's identity and source."""
    started = live.started
    event = started.event
    identity = job_id(live.run, StepKey(job.key), job.attempt)
    return JobSpec(
        id=identity,
        run=live.run,
        key=job.key,
        attempt=job.attempt,
        request=live.view.requests[(job.key, job.attempt)],
        source=started.source,
        repo=started.repo_name,
        repo_id=started.repo,
        # What the spec itself says (run, job, attempt, repo, commit) the runner adds.
        context={
            "STAUNCH_PIPELINE": started.pipeline,
            "STAUNCH_EVENT": event.kind,
            "STAUNCH_REF": event.ref,
            "STAUNCH_BRANCH": event.branch,
            "STAUNCH_TAG": event.tag,
        },
        priority=started.level,
        tier=started.tier,
        ref=event.ref,
        base_ref=event.pull_request.base_ref if event.pull_request is not None else "",
        wait_s=_wait_s(live, job),
    )


def _wait_s(live: Live, job: OpenJob) -> float:
    """For how long it waits after a step that failed, as its plan or a person wants it."""
    if live.started.tier is not Tier.TRUSTED:
        return 0.0
    wish = live.started.wait
    wished_s = 0.0 if wish is msgspec.UNSET else wish.seconds
    return max(wished_s, live.view.requests[(job.key, job.attempt)].wait_s)


def _state_after(state: RunState, inputs: list[StoredInput], end: End | None) -> RunState:
    """The Run's state after a Turn with these inputs (see pipelines/pause.py for which)."""
    assert state not in FINAL, "a Run that is over makes no Turn"
    if state is RunState.PENDING:
        state = after(state, Move.STARTED)
    if state is RunState.PAUSED and any(isinstance(given.input, RESUMING) for given in inputs):
        state = after(state, Move.RESUMED)
    if end is not None:
        return after(state, MOVE_TO[end.state])
    if isinstance(inputs[-1].input, PauseRequested):
        return after(state, Move.PAUSED)
    return state


def _paused(last: StoredInput) -> Paused:
    pause = last.input
    assert isinstance(pause, PauseRequested), "a Turn ends with the pause that it takes"
    return Paused(by=pause.by, since=last.at, reason=pause.reason)


def _killed(kill: KillRequested) -> Failure:
    why = f": {shorten(kill.reason, REASON_CHARS_MAX)}" if kill.reason else ""
    return Failure(
        type="Killed",
        message=f"killed by {kill.by}{why}",
        kind=FailureKind.REFUSED,
    )


def _times(stored: StoredInput) -> list[float]:
    """What an input says of time: a timer counts as due even if the stream's clock went back."""
    due = [stored.input.due] if isinstance(stored.input, TimerFired) else []
    return [stored.at, *due]


def _is_wake(stored: StoredInput, armed: Armed) -> bool:
    return isinstance(stored.input, TimerFired) and stored.input.due == armed.due


def _endless() -> Failure:
    return Failure(
        type="EndlessContinuation",
        message=f"{AT_ONCE_MAX + 1} runs in a row continued as new and waited for nothing; wait for"
        " something before step.continue_as_new, such as step.sleep",
        kind=FailureKind.TENANT,
    )


def _over(broken: NearLimit) -> Failure:
    """Why a Run is ended that has used more than it may."""
    if broken.limit == "turn_bytes":
        what = f"one turn of {broken.used:,} bytes is over the limit of {broken.max:,}"
        return Failure(type="TurnTooBig", message=f"{what}: {broken.advice()}")
    what = f"the run has {broken.words()}"
    return Failure(type="LimitBreached", message=f"{what}: {broken.advice()}")
