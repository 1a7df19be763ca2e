"""World: what happens to a waiting Run next, by what a test prepared. Time is skipped to it.

Everything that will happen has its time and place in a queue; the earliest comes next, and of two
at the same time the one that was asked for first. The Run's own timer is one of them.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
from staunch.causes import is_among
from staunch.entered import WrongInput, complete

from ci_host.testkit.errors import Unanswered, WrongAnswer
from ci_host.testkit.script import CallEnd, GateReply, JobEnd, Script, Sent
from pipelines.commands import Open, OpenCall, OpenGate, OpenJob, OpenWait
from pipelines.events import (
    CancelRequested,
    ChildFinished,
    GateAnswered,
    GroupEntered,
    Input,
    JobFinished,
    RunStarted,
    SignalSent,
    TimerFired,
)
from pipelines.history import HistoryView
from pipelines.ids import RunId, StepKey, child_id, job_id
from pipelines.job import Artifact, Outcome
from pipelines.run import RunState

Happening = tuple[float, int, Input]


@dataclass(slots=True)
class World:
    """Around one Run. `strict`: what is not prepared does not go well by itself."""

    script: Script
    started: RunStarted
    strict: bool
    _queue: list[Happening] = field(default_factory=list)
    _seen: set[tuple[str, ...]] = field(default_factory=set)
    _on_the_way: set[str] = field(default_factory=set)
    _count: int = 0

    def look(self, view: HistoryView) -> None:
        """See what the Run wants now. Raises Unanswered, WrongAnswer."""
        wanted, now = view.open, view.now
        group = wanted.group
        waits = group is not None and not (group.entered or group.leaving)
        if group is not None and waits and self._is_new("group", group.key):
            self._add(now, GroupEntered(key=group.key))
        for job in wanted.jobs:
            self._job(job, view)
        for gate in wanted.gates:
            if self._is_new("gate", gate.key):
                self._gate(gate, now)
        for call in wanted.calls:
            self._call(call, view)
        for wait in wanted.waits:
            self._wait(wait, now)
        self._cancel(wanted, now)

    def next(self, view: HistoryView) -> tuple[float, Input]:
        """(when, what) comes next. Raises Unanswered."""
        while self._queue and self._is_over(self._queue[0][2], view.open):
            heapq.heappop(self._queue)
        due = view.wake_at
        if due is not None and (not self._queue or due <= self._queue[0][0]):
            return due, TimerFired(due=due)
        if not self._queue:
            raise Unanswered("\n".join(self.advice(view.open)))
        at, _, what = heapq.heappop(self._queue)
        if isinstance(what, SignalSent):
            self._on_the_way.discard(what.name)
        return at, what

    def advice(self, wanted: Open) -> Iterable[str]:
        """What to do where nothing will happen any more."""
        return _advice(wanted)

    def _add(self, at: float, what: Input) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, what))

    def _is_new(self, *what: str) -> bool:
        is_new = what not in self._seen
        self._seen.add(what)
        return is_new

    def _is_over(self, what: Input, wanted: Open) -> bool:
        """Whether nobody waits for this any more: it would be late, as a repeated report is."""
        if isinstance(what, JobFinished):
            found = [j for j in wanted.jobs if (j.key, j.attempt) == (what.key, what.attempt)]
            # Once it is cancelled it does not end by itself any more.
            return not found or found[0].cancelling != (what.outcome is Outcome.CANCELLED)
        if isinstance(what, GateAnswered):
            return all(gate.key != what.key for gate in wanted.gates)
        if isinstance(what, ChildFinished):
            return all(call.key != what.key for call in wanted.calls)
        return False

    def _job(self, job: OpenJob, view: HistoryView) -> None:
        if not self._is_new("job", job.key, str(job.attempt), str(job.cancelling)):
            return
        end = self.end_of_job(job)
        request = view.requests[(job.key, job.attempt)]
        left = [Artifact(name=name, digest="0" * 64, size=1, files=1) for name in request.artifacts]
        went_well = end.outcome is Outcome.SUCCEEDED
        identity = job_id(RunId(self.started.run), StepKey(job.key), job.attempt)
        report = JobFinished(
            job=identity,
            key=job.key,
            attempt=job.attempt,
            outcome=end.outcome,
            exit_code=end.exit_code,
            message=end.message,
            started_at=view.now,
            finished_at=view.now + end.seconds,
            runner="staunch.testing",
            outputs=dict(end.outputs) if end.outputs else msgspec.UNSET,
            artifacts=left if went_well and left else msgspec.UNSET,
        )
        self._add(view.now + end.seconds, report)

    def end_of_job(self, job: OpenJob) -> JobEnd:
        """How this Attempt ends. Raises Unanswered."""
        end = self.script.jobs.of(job.key, job.attempt)
        if job.cancelling:
            return JobEnd(Outcome.CANCELLED, seconds=0.0)
        if end is None and self.strict:
            raise Unanswered(
                f"job {job.key!r} is not prepared, and this test is strict: add"
                f" test.job({job.key!r})"
            )
        return end or JobEnd()

    def reply_to(self, gate: OpenGate) -> GateReply | None:
        """Who answers it, and what; None: nobody. Raises Unanswered."""
        reply = self.script.gates.of(gate.key)
        if reply is None and self.strict and gate.terms.due is not None:
            raise Unanswered(
                f"gate {gate.key!r} is not prepared, and this test is strict: add"
                f' test.gate({gate.key!r}, approve_by="ada") or test.gate({gate.key!r},'
                " times_out=True)"
            )
        return reply

    def _gate(self, gate: OpenGate, now: float) -> None:
        reply = self.reply_to(gate)
        if reply is None or not reply.by:
            return
        for number, who in enumerate(reply.by):
            _check_answer(gate, reply, who)
            answer = GateAnswered(
                id=f"{gate.key}-{number}",
                key=gate.key,
                approved=reply.approved,
                by=who,
                inputs=dict(reply.inputs),
                comment=reply.comment,
            )
            self._add(now + reply.seconds, answer)

    def end_of_call(self, call: OpenCall, _view: HistoryView) -> CallEnd:
        """How the called pipeline ends. Raises Unanswered."""
        end = self.script.calls.of(call.key)
        if call.cancelling:
            return CallEnd(RunState.CANCELLED, seconds=0.0)
        if end is None and self.strict:
            raise Unanswered(
                f"call {call.key!r} is not prepared, and this test is strict: add"
                f" test.call({call.key!r}, returns=…)"
            )
        return end or CallEnd()

    def _call(self, call: OpenCall, view: HistoryView) -> None:
        now = view.now
        if call.detached or not self._is_new("call", call.key, str(call.cancelling)):
            return
        end = self.end_of_call(call, view)
        run = child_id(RunId(self.started.run), StepKey(call.key), self.started.shards)
        what = ChildFinished(
            key=call.key, run=run, state=end.state, output=end.output, error=end.error
        )
        self._add(now + end.seconds, what)

    def signals_for(self, _wait: OpenWait) -> Sequence[Sent]:
        """All that are sent, each once."""
        return self.script.signals

    def _wait(self, wait: OpenWait, now: float) -> None:
        names = {wait.name, *wait.names}
        if names & self._on_the_way:
            return
        for number, sent in enumerate(self.signals_for(wait)):
            if number not in self.script.sent and sent.name in names:
                self.script.sent.add(number)
                self._on_the_way.add(sent.name)
                what = SignalSent(id=f"signal-{number}", name=sent.name, payload=sent.payload)
                self._add(now + sent.seconds, what)
                return

    def _cancel(self, wanted: Open, now: float) -> None:
        for key in _keys(wanted):
            by = self.script.cancels.of(key)
            if by is not None and self._is_new("cancel", key):
                self._add(now, CancelRequested(id=f"cancel-{key}", by=by))


def _keys(wanted: Open) -> Iterator[str]:
    yield from (job.key for job in wanted.jobs)
    yield from (gate.key for gate in wanted.gates)
    yield from (wait.key for wait in wanted.waits)
    yield from (call.key for call in wanted.calls)
    yield from (pause.key for pause in wanted.pauses)


def _check_answer(gate: OpenGate, reply: GateReply, who: str) -> None:
    """As an engine would, which takes no other answer. Raises WrongAnswer."""
    terms = gate.terms
    if is_among(who, terms.barred):
        raise WrongAnswer(f"{who!r} may not answer gate {gate.key!r}: they caused this run")
    teams = any(name.startswith("@") for name in terms.approvers)
    if terms.approvers and who not in terms.approvers and not teams:
        raise WrongAnswer(
            f"{who!r} may not answer gate {gate.key!r}: its approvers are"
            f" {', '.join(terms.approvers)}"
        )
    if not reply.approved:
        return
    try:
        complete(terms.inputs, msgspec.to_builtins(terms.rules), dict(reply.inputs))
    except WrongInput as error:
        raise WrongAnswer(f"gate {gate.key!r} does not take these inputs: {error}") from error


def _advice(wanted: Open) -> Iterator[str]:
    yield "the run waits for ever, because nothing is prepared that could happen:"
    for gate in wanted.gates:
        names = [name for name in gate.terms.approvers if not name.startswith("@")]
        free = next((name for name in names if name not in gate.approved_by), "ada")
        yield (
            f"- gate {gate.key!r} has {len(gate.approved_by)} of {gate.terms.needed} approvals:"
            f' add test.gate({gate.key!r}, approve_by="{free}")'
        )
    for wait in wanted.waits:
        yield f"- {wait.key!r} waits for a signal: add test.signal({wait.name!r}, payload)"
    if not (wanted.gates or wanted.waits):
        yield "- the plan awaits something of its own that never comes (an asyncio future?)"
