"""Books: one Run's keys, commands, results, and what is open. The Ledger the verbs write in."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from staunch.causes import causes
from staunch.errors import LimitBreached
from staunch.ledger import Site
from staunch.loop import PlanLoop
from staunch.supposed import SUPPOSED
from staunch.undo import Undo
from staunch.usage import Usage

from pipelines.guest.calls import Calls
from pipelines.guest.failures import failure_of
from pipelines.guest.gates import Gates
from pipelines.guest.handed_out import Given, HandedOut
from pipelines.guest.jobs import Jobs, Report
from pipelines.guest.limits import COMMANDS_TURN_MAX, STEPS_RUN_MAX
from pipelines.guest.loading import pipeline_files, pipeline_name
from pipelines.guest.pauses import Pauses
from pipelines.guest.rehearsal import Rehearsal
from pipelines.guest.signals import Signals
from pipelines.guest.supposing import Supposing
from pipelines.guest.usage import usage_of
from pipelines.guest.wire import child_id, fingerprint, plain


class Books:
    """See `staunch.ledger.Ledger` for the verbs' side; below it is the driver's."""

    def __init__(
        self,
        seed: str,
        loop: PlanLoop,
        files: set[str],
        asks: dict[str, Any],
        tell: Callable[[str], None],
        rehearsal: Rehearsal,
    ) -> None:
        self.seed = seed
        self.commands: list[dict[str, Any]] = []
        self.results: list[dict[str, Any]] = []
        self.note: dict[str, Any] | None = None
        self.main: asyncio.Task[Any] | None = None
        self.events = 0
        self.history_bytes = 0
        self.memo: dict[tuple[str, int], dict[str, Any]] = {}
        self._loop = loop
        self._files = files
        self._asks = asks
        self._tell = tell
        self._rehearsal = rehearsal
        self._recalled: dict[tuple[str, str], dict[str, Any]] = {}
        self._recalled_from = ""
        self._supposing: Supposing | None = None
        self._counts: dict[str, int] = {}
        self._steps = 0
        self._started: dict[str, Any] = {}
        self._jobs = Jobs(loop.create_future)
        self._gone: asyncio.Future[None] | None = None
        self._owed: list[Undo] = []
        self._is_undoing = False
        self._calls = Calls(loop.create_future)
        self._group: dict[str, Any] | None = None
        self._gates = Gates(loop.create_future)
        self._pauses = Pauses(loop.create_future)
        self._signals = Signals(loop.create_future)
        self._handed_out = HandedOut()

    @property
    def pipelines(self) -> dict[str, str]:
        """The pipelines of this Bundle."""
        return {pipeline_name(path): path for path in pipeline_files(self._files)}

    @property
    def pipeline(self) -> str:
        """This one's name."""
        return str(self._started.get("pipeline", ""))

    def is_in_main(self) -> bool:
        """Whether `run()` itself is running."""
        return self.main is not None and asyncio.current_task(self._loop) is self.main

    def asks(self, pipeline: str) -> dict[str, Any] | None:
        """What this pipeline asks of whoever calls it."""
        found: dict[str, Any] | None = self._asks.get(self.pipelines.get(pipeline, ""))
        return found

    @property
    def causes(self) -> list[str]:
        """As the event has them."""
        return causes(self._started)

    @property
    def depth(self) -> int:
        """How many Runs are above."""
        parent = self._started.get("parent")
        return int(parent.get("depth", 1)) if parent else 0

    @property
    def loop(self) -> PlanLoop:
        """The plan's loop."""
        return self._loop

    @property
    def steps(self) -> int:
        """How many were asked for; the one that is too many is not one."""
        return min(self._steps, STEPS_RUN_MAX)

    @property
    def usage(self) -> Usage:
        """As of this moment."""
        return usage_of(self.events, self.steps, self.history_bytes)

    def key(self, path: str) -> str:
        """The key of the next step at this path."""
        self._steps += 1
        if self._steps > STEPS_RUN_MAX:
            self._breach(
                f"the run asked for more than {STEPS_RUN_MAX:,} steps: go on as a new run with"
                " step.continue_as_new before that (step.usage tells when), or let fewer steps do"
                " more each"
            )
        count = self._counts.get(path, 0) + 1
        self._counts[path] = count
        return path if count == 1 else f"{path}#{count}"

    def given(self, verb: str, key: str, site: Site, step: Coroutine[Any, Any, Any]) -> None:
        """A step was handed out."""
        self._rehearsal.given(key, site)
        self._handed_out.add(Given(verb, key, site, step))

    def ask(self, kind: str, key: str, options: dict[str, Any], **parts: Any) -> None:
        """Record a command."""
        if len(self.commands) >= COMMANDS_TURN_MAX:
            self._breach(
                f"the plan asked for more than {COMMANDS_TURN_MAX} things in one turn"
                " without waiting for any"
            )
        print_ = fingerprint(kind, key, options)
        self.commands.append({"kind": kind, "key": key, "fingerprint": print_, **parts})

    def recalled(self, kind: str, key: str, options: dict[str, Any]) -> dict[str, Any] | None:
        """What an earlier attempt of this Run found out, recorded as asked and settled; or what is
        supposed of a step that nobody wants done."""
        if self._supposing is not None:
            supposed = self._supposing.value(kind, key, options)
            if supposed is not None:
                self.ask(kind, key, options)
                self.settle(kind, key, "succeeded", **supposed, recalled_from=SUPPOSED)
                return supposed
        kept = self._recalled.get((kind, key))
        if kept is None:
            return None
        if kept["fingerprint"] != fingerprint(kind, key, options):
            self._tell(
                f"{kind} {key!r} is done anew: run {self._recalled_from} asked for something else\n"
            )
            return None
        attempt, value = kept.get("attempt", 1), kept.get("value")
        self.ask(kind, key, options, attempt=attempt)
        self.settle(
            kind, key, "succeeded", attempt=attempt, value=value, recalled_from=self._recalled_from
        )
        return kept

    def settle(self, kind: str, key: str, state: str, **parts: Any) -> None:
        """Record a result."""
        self.results.append({"kind": kind, "key": key, "state": state, **parts})

    def recall(self, key: str, attempt: int) -> dict[str, Any] | None:
        """The recorded result of a `do` attempt that succeeded in this Turn."""
        return self.memo.get((key, attempt))

    def stand_in(self, key: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        """The author's function, but for tests."""
        return self._rehearsal.stand_in(key, fn)

    def plain(self, key: str, value: Any) -> Any:
        """The value as the History gives it back."""
        return plain(value, f"the value of step {key!r}")

    def failure(self, error: BaseException, key: str) -> dict[str, Any]:
        """The exception as a Failure."""
        return failure_of(error, self._files, key)

    def say(self, note: dict[str, Any]) -> None:
        """The newest counts."""
        self.note = note

    def dice(self, purpose: str) -> Random:
        """A stream for this purpose alone."""
        return Random(f"{self.seed}/{purpose}")  # noqa: S311

    def open_job(self, key: str, attempt: int) -> "asyncio.Future[Report]":
        """Want an Attempt."""
        return self._jobs.open(key, attempt)

    def drop_job(self, key: str, late: Callable[[Report], None] | None = None) -> None:
        """Want its end."""
        self._jobs.drop(key, late)

    async def wait_cancelled_gone(self) -> None:
        """Until nothing that was cancelled is worked on, by a Runner or in a child Run."""
        while self._is_cancelling():
            self._gone = self._loop.create_future()
            await self._gone

    def _is_cancelling(self) -> bool:
        return self._jobs.are_cancelling() or self._calls.are_cancelling()

    def owe(self, undo: Undo) -> None:
        """One more to call; what a rollback does is not itself undone."""
        if not self._is_undoing:
            self._owed.append(undo)

    def next_undo(self) -> Undo | None:
        """Last first."""
        self._is_undoing = True
        return self._owed.pop() if self._owed else None

    def child(self, key: str) -> str:
        """As the host derives it; it believes nobody but itself."""
        run, shards = self._started["run"], self._started.get("shards", 0)
        return child_id(run, key, shards)

    def open_call(self, key: str, *, detached: bool = False) -> "asyncio.Future[Report]":
        """Want a child Run."""
        return self._calls.open(key, detached=detached)

    def drop_call(self, key: str) -> None:
        """Want its end."""
        self._calls.drop(key)

    def open_gate(self, key: str, terms: dict[str, Any]) -> "asyncio.Future[Report]":
        """Want answers."""
        return self._gates.open(key, terms)

    def close_gate(self, key: str) -> None:
        """No more answers."""
        self._gates.close(key)

    def open_pause(self, key: str, attempt: int, due: float) -> "asyncio.Future[None]":
        """Let an attempt wait."""
        return self._pauses.open(key, attempt, due)

    def close_pause(self, key: str) -> None:
        """It waits no more."""
        self._pauses.close(key)

    def open_wait(
        self, key: str, names: list[str], match: Report | None, due: float | None
    ) -> "asyncio.Future[Report]":
        """Want a signal."""
        return self._signals.open(key, names, match, due)

    def close_wait(self, key: str, unused: "asyncio.Future[Report] | None") -> None:
        """No more signals."""
        self._signals.close(key, unused)

    # What the driver does.

    def begin_turn(self, memo: list[dict[str, Any]] | None, history_bytes: int) -> None:
        """Open a new page. `history_bytes`: what the Turns before it and their inputs have."""
        self.commands, self.results, self.note = [], [], None
        self.history_bytes = history_bytes
        self.memo = {
            (one["key"], one.get("attempt", 1)): one
            for one in memo or []
            if one["kind"] == "do" and one["state"] == "succeeded"
        }

    def run_started(self, started: dict[str, Any]) -> None:
        """What the Run is."""
        self._started = started
        if started.get("supposed"):
            self._supposing = Supposing(started["supposed"], self.child)
        self._recalled = {(one["kind"], one["key"]): one for one in started.get("recalled", [])}
        self._recalled_from = (started.get("rerun") or started.get("fork") or {}).get("of", "")
        for signal in (started.get("continues") or {}).get("signals", []):
            self.signal_sent(signal)

    def kept_signals(self) -> list[dict[str, Any]]:
        """Those that nobody has taken, oldest first."""
        return self._signals.kept()

    def open_group(self, group: dict[str, Any]) -> None:
        """Want to be let into a concurrency group, or hold the one that was handed over."""
        self._group = dict(group)

    def waits_for_group(self, key: str) -> bool:
        """Whether this is the group that it wants to be let into, and is not in yet."""
        group = self._group
        return group is not None and group["key"] == key and not group.get("entered")

    def enter_group(self) -> None:
        """It was let in."""
        assert self._group is not None, "it waited for one"
        self._group["entered"] = True

    def child_finished(self, report: Report) -> None:
        """The end of a child; one that comes again is nobody's."""
        if self._calls.finished(report):
            self._one_gone()

    def job_finished(self, report: Report) -> None:
        """A Runner's report; late and repeated ones are nobody's."""
        if self._jobs.finished(report):
            self._one_gone()

    def _one_gone(self) -> None:
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def gate_answered(self, answer: Report) -> None:
        """A person's answer."""
        self._gates.answered(answer)

    def retry_requested(self, wish: Report) -> None:
        """Somebody wants this attempt now."""
        self._pauses.hurried(wish)

    def signal_sent(self, signal: Report) -> None:
        """A signal: to the oldest wait that it fits, or kept."""
        self._signals.sent(signal)

    def owes(self) -> bool:
        """Whether there is anything to undo, or may be when a cancelled job has reported."""
        return bool(self._owed) or self._jobs.may_owe()

    def lingers(self) -> bool:
        """Whether a job is still at work though its Run, which is in a group, is done.

        The next of the group must not begin beside it.
        """
        return self._group is not None and self._jobs.are_cancelling()

    def forgive(self) -> None:
        """Nothing will be undone: the plan has succeeded."""
        self._owed.clear()
        self._is_undoing = True

    def end(self) -> None:
        """The Run is over: the end of every job and awaited child is wanted, and nothing else."""
        self._jobs.end()
        self._calls.end()
        if self._group is not None:
            self._group["leaving"] = True
        self._gates.clear()
        self._pauses.clear()
        self._signals.clear()

    def open(self) -> dict[str, Any]:
        """Everything still wanted."""
        wanted: dict[str, Any] = {
            "jobs": self._jobs.wanted(),
            "gates": self._gates.wanted(),
            "waits": self._signals.wanted(),
            "pauses": self._pauses.wanted(),
            "calls": self._calls.wanted(),
            "group": self._group,
        }
        return {name: found for name, found in wanted.items() if found}

    def never_awaited(self) -> tuple[str, str, Site] | None:
        """The first step that was asked for and never awaited; all such are closed."""
        found = self._handed_out.never_awaited()
        return None if found is None else found[:3]

    def _breach(self, message: str) -> None:
        breach = LimitBreached(message)
        self._loop.halted = breach
        raise breach
