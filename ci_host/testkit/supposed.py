"""Supposed: a world in which every step goes well, or one that was named does not.

Jobs succeed, gates are approved, signals come, and nothing is waited for. No two things end at the
same time, so that what follows shows what it was that the plan had waited for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from staunch.supposed import answer, answering, is_named, payload, said_of

from ci_host.testkit.script import CallEnd, GateReply, JobEnd, Sent
from ci_host.testkit.world import World
from pipelines.commands import GateTerms, Open, OpenCall, OpenGate, OpenJob, OpenWait
from pipelines.failure import Failure
from pipelines.history import HistoryView
from pipelines.job import Outcome
from pipelines.run import RunState

# How long each thing takes by the Run's clock, and by how much each ends after the one before.
TAKES_S, APART_S = 1.0, 0.001


@dataclass(frozen=True, slots=True)
class Supposition:
    """`fails`: names of steps that do not go well, or globs of them. `values`: by the name of a
    step, outputs of a job, inputs of a gate, or the payload of a signal that a step waits for."""

    fails: tuple[str, ...] = ()
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def is_failing(self, key: str) -> bool:
        """Whether this step does not go well."""
        return is_named(key, self.fails)

    def of(self, key: str) -> dict[str, Any]:
        """What was said of this step."""
        return said_of(key, self.values)

    def unused(self, keys: Sequence[str]) -> list[str]:
        """The names that no step of these has."""
        names = (*self.fails, *self.values)
        return [one for one in names if not any(is_named(key, [one]) for key in keys)]


def answer_of(terms: GateTerms, said: Mapping[str, Any]) -> dict[str, Any] | None:
    """Who is supposed to approve this gate, and what they enter; None: nothing can be supposed."""
    return answer(msgspec.to_builtins(terms), said)


@dataclass(slots=True)
class SupposedWorld(World):
    """See World. `child` plays what is called and says how that ends."""

    supposition: Supposition = field(default_factory=Supposition)
    child: Callable[[OpenCall, HistoryView], CallEnd] = lambda _call, _view: CallEnd()
    _ends: int = 0
    _signals: list[Sent] = field(default_factory=list)
    _awaited: set[str] = field(default_factory=set)

    def end_of_job(self, job: OpenJob) -> JobEnd:
        """It succeeds, with what was said of its outputs, or fails in each attempt."""
        if job.cancelling:
            return JobEnd(Outcome.CANCELLED, seconds=0.0)
        seconds = self._next_s()
        if self.supposition.is_failing(job.key):
            return JobEnd(Outcome.FAILED, 1, "supposed to fail", seconds=seconds)
        return JobEnd(exit_code=0, outputs=self.supposition.of(job.key), seconds=seconds)

    def reply_to(self, gate: OpenGate) -> GateReply | None:
        """As many as it needs approve it, or one rejects it; None: there is nobody who could."""
        terms = gate.terms
        if self.supposition.is_failing(gate.key):
            who = answering(terms.approvers, terms.barred, 1)
            return GateReply(tuple(who), approved=False, seconds=self._next_s()) if who else None
        found = answer_of(terms, self.supposition.of(gate.key))
        if found is None:
            return None
        return GateReply(tuple(found["by"]), inputs=found["inputs"], seconds=self._next_s())

    def end_of_call(self, call: OpenCall, view: HistoryView) -> CallEnd:
        """As the called pipeline ends by the same supposition."""
        if call.cancelling:
            return CallEnd(RunState.CANCELLED, seconds=0.0)
        seconds = self._next_s()
        if self.supposition.is_failing(call.key):
            failure = Failure(type="RuntimeError", message="supposed to fail")
            return CallEnd(RunState.FAILED, error=failure, seconds=seconds)
        end = self.child(call, view)
        return CallEnd(end.state, end.output, end.error, seconds)

    def signals_for(self, wait: OpenWait) -> Sequence[Sent]:
        """One for each step that waits, as soon as it does."""
        if wait.key not in self._awaited and not self.supposition.is_failing(wait.key):
            self._awaited.add(wait.key)
            said = payload(wait.match, self.supposition.of(wait.key))
            sent = Sent(wait.name or wait.names[0], said, self._next_s())
            self._signals.append(sent)
        return self._signals

    def advice(self, wanted: Open) -> list[str]:
        """What it waits for, of which nothing can be supposed."""
        said = [
            f"gate {gate.key} cannot be supposed to be answered: nobody may approve it, or an input"
            f" of it must be said with --suppose {gate.key}.NAME=VALUE"
            for gate in wanted.gates
        ]
        said += [f"{wait.key} waits for ever for its signal" for wait in wanted.waits]
        return said or ["the plan awaits something of its own that never comes"]

    def _next_s(self) -> float:
        self._ends += 1
        return TAKES_S + self._ends * APART_S
