"""Supposed: a world in which every step goes well, or one that was named does not.

Jobs succeed, gates are approved, signals come, and nothing is waited for. No two things end at the
same time, so that what follows shows what it was that the plan had waited for.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from staunch.causes import is_among
from staunch.entered import WrongInput, complete

from ci_host.testkit.script import CallEnd, GateReply, JobEnd, Sent
from ci_host.testkit.world import World
from pipelines.commands import GateTerms, InputRule, Open, OpenCall, OpenGate, OpenJob, OpenWait
from pipelines.failure import Failure
from pipelines.history import HistoryView
from pipelines.job import Outcome
from pipelines.run import RunState

SOMEBODY = "somebody"
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
        return any(key == name or fnmatchcase(key, name) for name in self.fails)

    def of(self, key: str) -> dict[str, Any]:
        """What was said of this step; an exact name goes before a glob."""
        globs = (name for name in self.values if fnmatchcase(key, name))
        name = key if key in self.values else next(globs, key)
        return dict(self.values.get(name, {}))

    def unused(self, keys: Sequence[str]) -> list[str]:
        """The names that no step of these has."""
        names = (*self.fails, *self.values)
        return [one for one in names if not any(k == one or fnmatchcase(k, one) for k in keys)]


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
        given = supposed_inputs(terms, self.supposition.of(gate.key))
        if self.supposition.is_failing(gate.key):
            who = answering(terms, 1)
            return GateReply(who, approved=False, seconds=self._next_s()) if who else None
        who = answering(terms, terms.needed)
        try:
            complete(terms.inputs, msgspec.to_builtins(terms.rules), given)
        except WrongInput:
            return None
        return GateReply(who, inputs=given, seconds=self._next_s()) if who else None

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
            payload = {**_matching(wait.match or {}), **self.supposition.of(wait.key)}
            sent = Sent(wait.name or wait.names[0], payload or None, self._next_s())
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


def _matching(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The payload that has these fields, which may be dotted paths."""
    found: dict[str, Any] = {}
    for path, value in fields.items():
        *above, last = path.split(".")
        inner = found
        for part in above:
            deeper = inner.setdefault(part, {})
            inner = deeper if isinstance(deeper, dict) else {}
        inner[last] = value
    return found


def answering(terms: GateTerms, count: int) -> tuple[str, ...]:
    """So many who may answer this gate; empty: there are not so many."""
    names = [name for name in terms.approvers if not name.startswith("@")]
    if not terms.approvers or len(names) < len(terms.approvers):
        names += [SOMEBODY, *(f"{SOMEBODY}-{number}" for number in range(2, count + 2))]
    free = [name for name in names if not is_among(name, terms.barred)]
    return tuple(free[:count]) if len(free) >= count else ()


def supposed_inputs(terms: GateTerms, said: Mapping[str, Any]) -> dict[str, Any]:
    """What was said, and something that fits for each other input that must be entered."""
    found = dict(said)
    for name, kind in terms.inputs.items():
        rule = terms.rules.get(name) or InputRule()
        if name not in found and rule.required:
            found[name] = _fitting(name, kind, rule)
    return found


def _fitting(name: str, kind: str, rule: InputRule) -> Any:
    if rule.choices:
        return rule.choices[0]
    if kind == "str":
        return name[: rule.max_length]
    if kind == "bool":
        return True
    least = -math.inf if rule.min is None else math.ceil(rule.min)
    most = math.inf if rule.max is None else math.floor(rule.max)
    number = max(least, min(1, most))
    return float(number) if kind == "float" else int(number)
