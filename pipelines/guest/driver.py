"""Driver: moves one Run's plan from Turn to Turn. Inputs in, TurnOutcomes out, both as dicts.

Theory of operation. `advance` takes the inputs of one Turn in order. For each, time moves to the
input's (firing timers on the way), the input is applied to the books, and the loop runs until every
coroutine waits. What was asked for and what settled on the way is the outcome. The driver neither
reads a clock nor waits; equal inputs give equal outcomes.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from staunch import schedules
from staunch.concurrency import Concurrency
from staunch.continuing import ContinuedAsNew
from staunch.deadline import RunTimeout
from staunch.errors import RunTimedOut
from staunch.event import Event
from staunch.ledger import Site
from staunch.loop import PlanLoop
from staunch.rollback import roll_back
from staunch.step import Step

from pipelines.guest.failures import failure_of
from pipelines.guest.ledger import Books
from pipelines.guest.limits import CANCEL_ROUNDS_MAX
from pipelines.guest.printing import Printed
from pipelines.guest.rehearsal import Real, Rehearsal
from pipelines.guest.wire import canonical, digest, plain

Plan = Callable[[Event, Step], Coroutine[Any, Any, Any]]


class Driver:
    """One Run. `plan` is the pipeline's `run`; `on_clock` is told each time before code runs.

    `asks` are the InputTerms of the Bundle's pipelines, by file.
    """

    def __init__(
        self,
        plan: Plan,
        files: set[str],
        printed: Printed,
        *,
        seed: str,
        at: float,
        on_clock: Callable[[float], None],
        timeout: RunTimeout | None = None,
        concurrency: Concurrency | None = None,
        asks: dict[str, Any] | None = None,
        rehearsal: Rehearsal | None = None,
    ) -> None:
        self._plan = plan
        self._concurrency = concurrency
        self._event: Event | None = None
        self._files = files
        self._printed = printed
        self._loop = PlanLoop(on_clock, printed.note)
        self._loop.now = at
        heard = rehearsal or Real()
        self._books = Books(seed, self._loop, files, asks or {}, printed.note, heard)
        self._main: asyncio.Task[Any] | None = None
        self._ending: dict[str, Any] | None = None
        self._rollbacks: asyncio.Task[None] | None = None
        self._timeout = timeout
        self._alarm: asyncio.TimerHandle | None = None
        self._is_late = False
        self._over = False
        self._end: dict[str, Any] | None = None
        self._cancels: set[str] = set()
        printed.on_breach = self._halt

    def turn(
        self,
        inputs: list[dict[str, Any]],
        memo: list[dict[str, Any]] | None,
        history_bytes: int = 0,
    ) -> str:
        """Make one Turn; the TurnOutcome as JSON."""
        self._end = None
        self._books.begin_turn(memo, history_bytes)
        for one in inputs:
            self._take(one["at"], one["body"])
        return self._outcome()

    def _take(self, at: float, body: dict[str, Any]) -> None:
        self._books.events += 1
        due = body.get("due", at) if body["type"] == "timer_fired" else at
        now = max(self._loop.now, at, due)
        if not self._over:
            self._loop.move_to(now)
            self._check_end()
        self._loop.now = max(self._loop.now, now)
        apply = _APPLY.get(body["type"])
        if apply is not None:
            apply(self, body)
        if not self._over:
            self._loop.settle()
            self._check_end()

    def _run_started(self, body: dict[str, Any]) -> None:
        if self._event is not None or self._over:
            return
        self._books.run_started(body)
        self._event = Event.of(body)
        if body.get("fault"):
            self._finish({"state": "failed", "error": body["fault"]})
            return
        held = (body.get("continues") or {}).get("group")
        if held:
            self._books.open_group(held)
            self._begin(self._event)
            return
        try:
            group = self._group_of(self._event, body)
        except Exception as error:  # noqa: BLE001 - the key is the author's own function
            self._finish(self._failed(error))
            return
        if group is None:
            self._begin(self._event)
        else:
            self._books.open_group(group)

    def _group_of(self, event: Event, body: dict[str, Any]) -> dict[str, Any] | None:
        group = self._concurrency.group_of(event) if self._concurrency else None
        # A child has its caller's event: it is not what was scheduled.
        if group is not None or body.get("parent"):
            return group
        return schedules.group_of(body.get("pipeline", ""), event.schedule)

    def _begin(self, event: Event) -> None:
        try:
            coroutine = self._plan(event, Step(self._books))
        except Exception as error:  # noqa: BLE001 - e.g. a run() with other parameters
            self._finish(self._failed(error))
            return
        self._main = self._loop.create_task(coroutine, context=Context(), name="run")
        self._books.main = self._main
        if self._timeout is not None:
            self._alarm = self._loop.call_later(self._timeout.seconds, self._time_out)

    def _group_entered(self, body: dict[str, Any]) -> None:
        if self._over or not self._books.waits_for_group(body["key"]):
            return
        assert self._event is not None, "a Run that waits has started"
        self._books.enter_group()
        self._begin(self._event)

    def _group_refused(self, body: dict[str, Any]) -> None:
        if not self._over and self._books.waits_for_group(body["key"]):
            self._finish({"state": "cancelled", "error": _refused(body["reason"])})

    def _job_finished(self, body: dict[str, Any]) -> None:
        self._books.job_finished(body)

    def _child_finished(self, body: dict[str, Any]) -> None:
        self._books.child_finished(body)

    def _gate_answered(self, body: dict[str, Any]) -> None:
        self._books.gate_answered(body)

    def _signal_sent(self, body: dict[str, Any]) -> None:
        self._books.signal_sent(body)

    def _retry_requested(self, body: dict[str, Any]) -> None:
        self._books.retry_requested(body)

    def _cancel_requested(self, body: dict[str, Any]) -> None:
        if self._is_continuing():
            # Nothing is begun yet: whoever wants the Run to end does not want another one.
            self._cancels.add(body["id"])
            self._ending = {"state": "cancelled"}
            self._end = self._ending if self._over else None
            return
        if self._over or body["id"] in self._cancels:
            return
        self._cancels.add(body["id"])
        if self._main is None:
            self._finish({"state": "cancelled"})
        elif len(self._cancels) > 1 or not (self._rollbacks and self._books.lingers()):
            (self._rollbacks or self._main).cancel()
        # Else it is over already, and only the next of its group waits: for the job, as it should.

    def _is_continuing(self) -> bool:
        end = self._end if self._over else self._ending
        return end is not None and end["state"] == "continued"

    def _time_out(self) -> None:
        """The Run has had its time. Who was cancelled before is on the way out already."""
        assert self._main is not None, "the clock was set with it"
        if not self._cancels and not self._main.done():
            self._is_late = True
            self._main.cancel()

    def _halt(self, breach: BaseException) -> None:
        self._loop.halted = breach

    def _check_end(self) -> None:
        if self._over:
            return
        main = self._main
        if self._ending is None and self._is_done(main):
            self._cancel_rest()
            if self._loop.halted is None:
                assert main is not None, "it is done"
                if self._alarm is not None:
                    self._alarm.cancel()
                self._ending = self._ending_of(main)
                self._begin_rollbacks()
        if self._ending is None:
            if self._loop.halted is not None:
                self._finish(self._failed(self._loop.halted))
        elif self._rollbacks is None or self._rollbacks.done() or self._loop.halted is not None:
            self._cancel_rest()
            self._finish(self._ending)

    def _is_done(self, main: "asyncio.Task[Any] | None") -> bool:
        return self._loop.halted is None and main is not None and main.done()

    def _cancel_rest(self) -> None:
        for _ in range(CANCEL_ROUNDS_MAX):
            rest = self._loop.unfinished()
            if not rest or self._loop.halted is not None:
                return
            for task in rest:
                task.cancel()
            self._loop.settle()

    def _begin_rollbacks(self) -> None:
        """What succeeded is undone in what is left of the Run; how that ends is known already."""
        assert self._ending is not None, "the plan is over"
        if self._ending["state"] in ("succeeded", "continued"):
            self._books.forgive()
        if not (self._books.owes() or self._books.lingers()):
            return
        coroutine = roll_back(self._books, lambda path: Step(self._books, path))
        self._rollbacks = self._loop.create_task(coroutine, context=Context(), name="rollbacks")
        self._loop.settle()

    def _ending_of(self, main: "asyncio.Task[Any]") -> dict[str, Any]:
        error = None if main.cancelled() else main.exception()
        forgotten = self._books.never_awaited()
        if self._is_late:
            return self._timed_out(main)
        if self._cancels:
            if error is None or isinstance(error, ContinuedAsNew):
                return {"state": "cancelled"}
            return {**self._failed(error), "state": "cancelled"}
        if main.cancelled():
            return self._failed(asyncio.CancelledError("the plan cancelled its own main task"))
        if error is not None and not isinstance(error, ContinuedAsNew):
            return self._failed(error)
        if forgotten is not None:
            return {"state": "failed", "error": _forgotten(*forgotten)}
        if isinstance(error, ContinuedAsNew):
            return {"state": "continued", "continuation": {"inputs": error.inputs}}
        try:
            output = plain(main.result(), "what run() returned")
        except (TypeError, ValueError) as wrong:
            return self._failed(wrong)
        return {"state": "succeeded", **({} if output is None else {"output": output})}

    def _timed_out(self, main: "asyncio.Task[Any]") -> dict[str, Any]:
        """Late is late, whatever the plan made of it; where it stood is in the traceback."""
        assert self._timeout is not None, "else nothing was late"
        late = RunTimedOut(self._timeout.seconds)
        try:
            main.result()
        except BaseException as error:  # noqa: BLE001 - whatever the plan made of its cancel
            late.__context__ = error
        place = {"file": self._timeout.file, "line": self._timeout.line}
        return {"state": "failed", "error": {**failure_of(late, self._files), **place}}

    def _failed(self, error: BaseException) -> dict[str, Any]:
        return {"state": "failed", "error": failure_of(error, self._files)}

    def _finish(self, end: dict[str, Any]) -> None:
        self._over = True
        self._end = end
        self._books.never_awaited()
        self._books.end()
        for task in self._loop.unfinished():
            # It refused to end. It stays where it is, and nobody needs to hear of it.
            task._log_destroy_pending = False  # type: ignore[attr-defined]

    def _outcome(self) -> str:
        books, end = self._books, self._end
        if end is not None and end["state"] == "continued":
            # Also those that came after the plan was over.
            end = {**end, "continuation": {**end["continuation"], "signals": books.kept_signals()}}
        commands, results = canonical(books.commands), canonical(books.results)
        # Tracebacks are for reading: they may be cut, and are no part of the decision.
        decided = results if '"traceback"' not in results else canonical(_bare(books.results))
        ended = canonical(end)
        shown = {
            "now": self._loop.now,
            "digest": digest(commands, decided, canonical(_bare_one(end)) if end else ended),
            "open": books.open(),
            "wake_at": None if self._over else self._loop.wake_at(),
            "printed": self._printed.take(),
            "steps": books.steps,
        }
        if books.note is not None:
            shown["note"] = books.note
        rest = canonical(shown)[1:]
        return f'{{"commands":{commands},"results":{results},"end":{ended},{rest}'


_APPLY: dict[str, Callable[[Driver, dict[str, Any]], None]] = {
    "run_started": Driver._run_started,
    "group_entered": Driver._group_entered,
    "group_refused": Driver._group_refused,
    "job_finished": Driver._job_finished,
    "child_finished": Driver._child_finished,
    "gate_answered": Driver._gate_answered,
    "signal_sent": Driver._signal_sent,
    "retry_requested": Driver._retry_requested,
    "cancel_requested": Driver._cancel_requested,
}


def _bare(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_bare_one(one) for one in results]


def _bare_one(one: dict[str, Any]) -> dict[str, Any]:
    error = one.get("error")
    return {**one, "error": {**error, "traceback": ""}} if error else one


def _refused(reason: str) -> dict[str, Any]:
    return {
        "type": "GroupRefused",
        "message": reason,
        "kind": "refused",
        "file": None,
        "line": None,
        "traceback": "",
        "step": None,
    }


def _forgotten(verb: str, key: str, site: Site) -> dict[str, Any]:
    named = f"step.{verb}({key!r}, …)" if key else f"step.{verb}(…)"
    return {
        "type": "NeverAwaited",
        "message": f"{named} was never awaited, so it never ran; write `await` before it",
        "kind": "tenant",
        "file": site.file,
        "line": site.line,
        "traceback": "",
        "step": key or None,
    }
