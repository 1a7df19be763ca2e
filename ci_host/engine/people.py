"""People: what a person may do to a Run from outside. Answers at once whether it was accepted.

A person's act becomes an input of the Run. It is checked against the Run's last Turn first, and
written only if nothing came between (the fence on `.in`): so a Gate is answered once, and a refusal
names the reason while the person is still looking.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from ci_host.access import Token, may_open
from ci_host.ports import Conflict, HistoryStore, StoredInput, StoredTurn
from pipelines.commands import GateTerms, OpenGate
from pipelines.events import (
    SIGNAL_BYTES_MAX,
    CancelRequested,
    GateAnswered,
    Input,
    SignalSent,
)
from pipelines.ids import RunId
from pipelines.run import FINAL

TRIES_MAX = 20
TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
}


class PersonRefused(Exception):
    """The act is not accepted; `status` is the HTTP status that says it best."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A person's answer at a Gate, as it was typed."""

    approved: bool
    inputs: dict[str, Any]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    turn: StoredTurn
    pending: list[StoredInput]
    newest: int


class People:
    """`new_id` gives an id that was never used; `now` the time in seconds."""

    def __init__(
        self,
        history: HistoryStore,
        *,
        now: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._history = history
        self._now = now
        self._new_id = new_id

    async def answer_gate(self, run: RunId, key: str, who: Token, answer: Answer) -> None:
        """Approve or reject. Raises PersonRefused: unknown, over, answered, not allowed."""
        for _ in range(TRIES_MAX):
            seen = await self._look(run)
            gate = self._open_gate(run, key, seen)
            _check_person(gate, who, seen.pending)
            inputs = _checked_inputs(gate.terms, answer.inputs) if answer.approved else {}
            value = GateAnswered(
                id=self._new_id(),
                key=key,
                approved=answer.approved,
                by=who.name,
                inputs=inputs,
                comment=answer.comment,
            )
            if await self._write(run, value, seen):
                return
        raise PersonRefused(503, f"run {run} is too busy to take an answer; try again")

    async def signal(
        self, run: RunId, name: str, payload: object, who: Token, id_: str = ""
    ) -> None:
        """Send a Signal; with an `id_` of the caller's own, sending it twice is sending it once."""
        size = len(msgspec.json.encode(payload))
        if size > SIGNAL_BYTES_MAX:
            raise PersonRefused(
                413, f"the payload has {size:,} bytes, the limit is {SIGNAL_BYTES_MAX:,}"
            )
        await self._living(run)
        value = SignalSent(id=id_ or self._new_id(), name=name, payload=payload, by=who.name)
        await self._history.append_input(run, value)

    async def cancel(self, run: RunId, reason: str, who: Token) -> None:
        """Ask the Run to end; its cleanup code still runs."""
        await self._living(run)
        value = CancelRequested(id=self._new_id(), by=who.name, reason=reason)
        await self._history.append_input(run, value)

    async def _living(self, run: RunId) -> None:
        if await self._history.started(run) is None:
            raise PersonRefused(404, f"there is no run {run}; `staunch runs` lists them")
        last = await self._history.last_turn(run)
        if last is not None and last.turn.state in FINAL:
            raise PersonRefused(409, f"run {run} is over: it {last.turn.state}")

    async def _look(self, run: RunId) -> _Seen:
        if await self._history.started(run) is None:
            raise PersonRefused(404, f"there is no run {run}; `staunch runs` lists them")
        last = await self._history.last_turn(run)
        if last is None:
            raise PersonRefused(409, f"run {run} has only just begun; try again in a moment")
        inputs = await self._history.inputs_after(run, 0)
        pending = [given for given in inputs if given.sequence > last.turn.through]
        return _Seen(last, pending, inputs[-1].sequence)

    def _open_gate(self, run: RunId, key: str, seen: _Seen) -> OpenGate:
        turn = seen.turn.turn
        if turn.state in FINAL:
            raise PersonRefused(409, f"run {run} is over: it {turn.state}")
        gate = next((gate for gate in turn.open.gates if gate.key == key), None)
        if gate is None:
            open_now = ", ".join(gate.key for gate in turn.open.gates) or "none"
            raise PersonRefused(
                409, f"gate {key!r} of run {run} is not waiting for an answer (open: {open_now})"
            )
        if gate.terms.due is not None and self._now() >= gate.terms.due:
            raise PersonRefused(409, f"gate {key!r} of run {run} has timed out")
        return gate

    async def _write(self, run: RunId, value: Input, seen: _Seen) -> bool:
        try:
            await self._history.append_input(run, value, after=seen.newest)
        except Conflict:
            return False
        return True


def _check_person(gate: OpenGate, who: Token, pending: list[StoredInput]) -> None:
    if not may_open(who, gate.terms.approvers):
        raise PersonRefused(
            403,
            f"{who.name} may not answer gate {gate.key!r}: its approvers are"
            f" {', '.join(gate.terms.approvers)}",
        )
    waiting = [given.input for given in pending]
    answers = [i for i in waiting if isinstance(i, GateAnswered) and i.key == gate.key]
    if who.name in gate.approved_by or any(given.by == who.name for given in answers):
        raise PersonRefused(409, f"{who.name} has answered gate {gate.key!r} already")
    if len(gate.approved_by) + len(answers) >= gate.terms.needed:
        raise PersonRefused(409, f"gate {gate.key!r} has been answered already")


def _checked_inputs(terms: GateTerms, given: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(given) - set(terms.inputs))
    missing = sorted(set(terms.inputs) - set(given))
    if unknown or missing:
        wanted = ", ".join(f"{name}: {kind}" for name, kind in terms.inputs.items()) or "none"
        wrong = "unknown: " + ", ".join(unknown) if unknown else "missing: " + ", ".join(missing)
        raise PersonRefused(422, f"the gate's inputs are {wanted}; {wrong}")
    for name, kind in terms.inputs.items():
        value = given[name]
        is_bool = isinstance(value, bool)
        if not isinstance(value, TYPES[kind]) or (is_bool and kind != "bool"):
            raise PersonRefused(422, f"input {name!r} must be a {kind}, not {value!r}")
    return given
