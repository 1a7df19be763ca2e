"""People: what a person may do to a Run from outside. Answers at once whether it was accepted.

A person's act becomes an input of the Run. It is checked against the Run's last Turn first, and
written only if nothing came between (the fence on `.in`): so a Gate is answered once, and a refusal
names the reason while the person is still looking.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from staunch.causes import is_among
from staunch.entered import WrongInput, complete

from ci_host.access import Token, may_open
from ci_host.engine.asked_again import check_same
from ci_host.engine.continuations import end_of_chain
from ci_host.ports import Conflict, HistoryStore, StoredInput, StoredTurn
from pipelines.commands import GateTerms, OpenGate, OpenPause, Result, StepKind, StepState
from pipelines.events import (
    GIVEN_BYTES_MAX,
    SIGNAL_BYTES_MAX,
    CancelRequested,
    GateAnswered,
    Input,
    KillRequested,
    PauseRequested,
    ResumeRequested,
    RetryRequested,
    SignalSent,
)
from pipelines.ids import RunId, successor_id
from pipelines.pause import holder_after
from pipelines.run import FINAL, RunState
from pipelines.status import shorten

TRIES_MAX = 20
SAID_CHARS_MAX = 400
# A second cancel ends cleanup and rollbacks: it must be meant, and not the end of a double click.
CANCELS_APART_S = 5.0
# Where more has happened to a Run, looking for a Signal of the same id costs too much.
COMPARED_EVENTS_MAX = 1_000


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
        check_sendable("the answer", [answer.inputs, answer.comment])
        for _ in range(TRIES_MAX):
            seen = await self._look(run)
            gate = await self._open_gate(run, key, seen)
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
            if await self._write(run, value, seen.newest):
                return
        raise PersonRefused(503, f"run {run} is too busy to take an answer; try again")

    async def signal(
        self, run: RunId, name: str, payload: object, who: Token, id_: str = ""
    ) -> None:
        """Send a Signal; with an `id_` of the caller's own, sending it twice is sending it once.

        Raises PersonRefused, and KeyTaken: another Signal has that id.
        """
        check_sendable("the payload", payload, SIGNAL_BYTES_MAX)
        await self._going_on(run)
        value = SignalSent(id=id_ or self._new_id(), name=name, payload=payload, by=who.name)
        if id_:
            await self._append_once(run, value)
        else:
            await self._history.append_input(run, value)

    async def _append_once(self, run: RunId, value: SignalSent) -> None:
        """Unless it is there. Raises PersonRefused, and KeyTaken: another has its id."""
        last = await self._history.last_turn(run)
        usage = None if last is None else last.turn.usage
        if usage is not None and usage.events > COMPARED_EVENTS_MAX:
            await self._history.append_input(run, value)
            return
        seen = newest = 0
        for _ in range(TRIES_MAX):
            # Those that no Turn has taken in yet count, too: an engine may lag.
            inputs = await self._history.inputs_after(
                run, newest, at_most=COMPARED_EVENTS_MAX + 1 - seen
            )
            if _is_there(value, inputs):
                return
            seen += len(inputs)
            newest = inputs[-1].sequence if inputs else newest
            if seen > COMPARED_EVENTS_MAX:
                await self._history.append_input(run, value)
                return
            if await self._write(run, value, newest):
                return
        raise PersonRefused(503, f"run {run} is too busy to take a signal; try again")

    async def retry_now(self, run: RunId, key: str, who: Token) -> int:
        """End the pause before a step's next attempt; which attempt. Raises PersonRefused."""
        for _ in range(TRIES_MAX):
            seen = await self._look(run)
            pause = _open_pause(run, key, seen)
            value = RetryRequested(id=self._new_id(), key=key, attempt=pause.attempt, by=who.name)
            if await self._write(run, value, seen.newest):
                return pause.attempt
        raise PersonRefused(503, f"run {run} is too busy to be told anything; try again")

    async def cancel(self, run: RunId, reason: str, who: Token, id_: str = "") -> None:
        """Ask the Run to end; its cleanup code still runs. Asked twice at once is asked once, and
        so is what was asked with the same `id_`, whenever that was."""
        check_sendable("the reason", reason)
        since = self._now() - CANCELS_APART_S
        asked = {
            stored.input.id: stored.at
            for stored in await self._history.inputs_after(run, 0)
            if isinstance(stored.input, CancelRequested)
        }
        if id_ in asked:
            return
        await self._going_on(run)
        if any(at > since for at in asked.values()):
            return
        value = CancelRequested(id=id_ or self._new_id(), by=who.name, reason=reason)
        await self._history.append_input(run, value)

    async def pause(self, run: RunId, reason: str, who: Token) -> None:
        """Have the Run stand still. Raises PersonRefused: over, or paused already."""
        check_sendable("the reason", reason)
        value = PauseRequested(id=self._new_id(), by=who.name, reason=reason)
        await self._hold(run, value)

    async def resume(self, run: RunId, who: Token) -> None:
        """Have a paused Run go on. Raises PersonRefused: over, or not paused."""
        await self._hold(run, ResumeRequested(id=self._new_id(), by=who.name))

    async def kill(self, run: RunId, reason: str, who: Token) -> None:
        """End the Run at once; its cleanup code does not run."""
        check_sendable("the reason", reason)
        await self._going_on(run)
        value = KillRequested(id=self._new_id(), by=who.name, reason=reason)
        await self._history.append_input(run, value)

    async def _hold(self, run: RunId, value: PauseRequested | ResumeRequested) -> None:
        """Pause or resume, if that is a change: what waits to be consumed counts as done."""
        for _ in range(TRIES_MAX):
            await self._living(run)
            last = await self._history.last_turn(run)
            inputs = await self._history.inputs_after(run, 0)
            through, paused = (0, None) if last is None else (last.turn.through, last.turn.paused)
            pending = [given.input for given in inputs if given.sequence > through]
            holder = holder_after(None if paused is None else paused.by, pending)
            if isinstance(value, PauseRequested) and holder is not None:
                raise PersonRefused(409, f"run {run} is paused already, by {holder}")
            if isinstance(value, ResumeRequested) and holder is None:
                raise PersonRefused(409, f"run {run} is not paused")
            if await self._write(run, value, inputs[-1].sequence):
                return
        raise PersonRefused(503, f"run {run} is too busy to be told anything; try again")

    async def _going_on(self, run: RunId) -> None:
        """As `_living`, if not of this Run then of the one that it was continued as.

        What is told to a Run that was continued, its engine passes on.
        """
        newest = await end_of_chain(self._history, run)
        # A successor may not be begun yet: it will be.
        if newest == run or await self._history.started(newest) is not None:
            await self._living(newest)

    async def _living(self, run: RunId) -> None:
        if await self._history.started(run) is None:
            raise PersonRefused(404, f"there is no run {run}; `staunch runs` lists them")
        state = await self._history.state(run)
        if state in FINAL:
            raise PersonRefused(409, _is_over(run, state))

    async def _look(self, run: RunId) -> _Seen:
        if await self._history.started(run) is None:
            raise PersonRefused(404, f"there is no run {run}; `staunch runs` lists them")
        last = await self._history.last_turn(run)
        if last is None:
            raise PersonRefused(409, f"run {run} has only just begun; try again in a moment")
        inputs = await self._history.inputs_after(run, 0)
        pending = [given for given in inputs if given.sequence > last.turn.through]
        return _Seen(last, pending, inputs[-1].sequence)

    async def _open_gate(self, run: RunId, key: str, seen: _Seen) -> OpenGate:
        gate = next((gate for gate in seen.turn.turn.open.gates if gate.key == key), None)
        if gate is None:
            raise PersonRefused(409, await self._why_not_open(run, key, seen))
        if gate.terms.due is not None and self._now() >= gate.terms.due:
            raise PersonRefused(409, f"gate {key!r} of run {run} has timed out")
        return gate

    async def _why_not_open(self, run: RunId, key: str, seen: _Seen) -> str:
        state = seen.turn.turn.state
        stored = await self._history.read(run)
        results = (result for turn in stored.turns for result in turn.turn.results)
        ours = (r for r in results if r.kind is StepKind.GATE and r.key == key)
        result = next(ours, None)
        if result is not None:
            end = f"; {_is_over(run, state)}" if state in FINAL else ""
            return shorten(_how_it_closed(key, result), SAID_CHARS_MAX) + end
        if state in FINAL:
            return _is_over(run, state)
        gates = ", ".join(gate.key for gate in seen.turn.turn.open.gates)
        where = f"the run waits at: {gates}" if gates else "the run waits at no gate now"
        return (
            f"gate {key!r} of run {run} is not waiting for an answer; {where};"
            f" `staunch show {run}` says how far it is"
        )

    async def _write(self, run: RunId, value: Input, newest: int) -> bool:
        try:
            await self._history.append_input(run, value, after=newest)
        except Conflict:
            return False
        return True


def _is_there(value: SignalSent, inputs: list[StoredInput]) -> bool:
    """Raises KeyTaken: another Signal has its id."""
    for stored in inputs:
        sent = stored.input
        if isinstance(sent, SignalSent) and sent.id == value.id:
            before = {"name": sent.name, "payload": sent.payload}
            check_same(value.id, before, {"name": value.name, "payload": value.payload})
            return True
    return False


def _open_pause(run: RunId, key: str, seen: _Seen) -> OpenPause:
    turn = seen.turn.turn
    if turn.state in FINAL:
        raise PersonRefused(409, _is_over(run, turn.state))
    pause = next((pause for pause in turn.open.pauses if pause.key == key), None)
    if pause is None:
        steps = ", ".join(pause.key for pause in turn.open.pauses)
        where = f"these wait for an attempt: {steps}" if steps else "no step of it does now"
        raise PersonRefused(
            409,
            f"step {key!r} of run {run} does not wait for a further attempt; {where};"
            f" `staunch show {run}` says how far it is",
        )
    for given in seen.pending:
        wish = given.input
        if isinstance(wish, RetryRequested) and (wish.key, wish.attempt) == (key, pause.attempt):
            raise PersonRefused(
                409, f"attempt {pause.attempt} of step {key!r} is wanted already, by {wish.by}"
            )
    return pause


def _check_person(gate: OpenGate, who: Token, pending: list[StoredInput]) -> None:
    if not may_open(who, gate.terms.approvers):
        raise PersonRefused(
            403,
            f"{who.name} may not answer gate {gate.key!r}: its approvers are"
            f" {', '.join(gate.terms.approvers)}",
        )
    if is_barred(who, gate.terms):
        raise PersonRefused(
            403,
            f"{who.name} may not answer gate {gate.key!r}: somebody else must, because this run was"
            f" caused by {', '.join(gate.terms.barred)}",
        )
    waiting = [given.input for given in pending]
    answers = [i for i in waiting if isinstance(i, GateAnswered) and i.key == gate.key]
    rejected = next((given.by for given in answers if not given.approved), None)
    if rejected is not None:
        raise PersonRefused(409, f"gate {gate.key!r} was rejected by {rejected} already")
    approved = [*gate.approved_by, *(given.by for given in answers)]
    if len(approved) >= gate.terms.needed:
        raise PersonRefused(409, _answered_by(gate.key, approved))
    if who.name in approved:
        raise PersonRefused(
            409,
            f"{who.name} has answered gate {gate.key!r} already: {gate.terms.needed} people must"
            f" approve it, {len(approved)} did ({', '.join(approved)})",
        )


def is_barred(who: Token, terms: GateTerms) -> bool:
    """Whether this person caused the Run, and the Gate wants somebody else; by either name."""
    return any(is_among(name, terms.barred) for name in (who.name, who.login) if name)


def _answered_by(key: str, people: list[str]) -> str:
    if not people:
        return f"gate {key!r} was opened by its timeout"
    return f"gate {key!r} has been answered already: approved by {', '.join(people)}"


def _how_it_closed(key: str, result: Result) -> str:
    said = result.error.message if result.error is not None else ""
    match result.state:
        case StepState.SUCCEEDED:
            return _answered_by(key, result.value["by"])
        case StepState.FAILED:
            return f"gate {key!r} has been answered already: {said}"
        case StepState.TIMED_OUT:
            return f"{said}: it has timed out"
        case _:
            return f"gate {key!r} was closed before it was answered"


def _is_over(run: RunId, state: RunState) -> str:
    if state is RunState.CONTINUED:
        return f"run {run} is over: it was continued as run {successor_id(run)}"
    how = "was cancelled" if state is RunState.CANCELLED else str(state)
    return f"run {run} is over: it {how}"


def check_sendable(what: str, value: object, bytes_max: int = GIVEN_BYTES_MAX) -> None:
    """Whether it can be kept as JSON that everybody reads alike, and is not too long."""
    try:
        size = len(
            json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
        )
    except (ValueError, RecursionError) as error:
        raise PersonRefused(422, f"{what} cannot be kept as JSON: {error}") from error
    if size > bytes_max:
        raise PersonRefused(413, f"{what} has {size:,} bytes, the limit is {bytes_max:,}")


def _checked_inputs(terms: GateTerms, given: dict[str, Any]) -> dict[str, Any]:
    """Every input's value, defaults included: what is written is what the plan will get."""
    try:
        return complete(terms.inputs, msgspec.to_builtins(terms.rules), given)
    except WrongInput as wrong:
        raise PersonRefused(422, str(wrong)) from wrong
