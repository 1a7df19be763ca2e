"""MemoryHistory and MemoryWakeUps: Histories in dicts, with a clock that a test moves.

Implements HistoryStore and WakeUps. Timers fire when the clock is moved past them.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from ci_host.ports import (
    Conflict,
    Damaged,
    LostTurn,
    Remains,
    StoredHistory,
    StoredInput,
    StoredTurn,
    WakeUp,
)
from pipelines.codec import decode_input, decode_turn, encode_input, encode_turn
from pipelines.events import Input, RunStarted, TimerFired
from pipelines.ids import RunId
from pipelines.run import RunState
from pipelines.turn import Turn


@dataclass(slots=True)
class _Record:
    inputs: list[StoredInput] = field(default_factory=list)
    turns: list[StoredTurn] = field(default_factory=list)
    armed: float | None = None
    lost: set[int] = field(default_factory=set)

    def whole(self, *needed: StoredInput | StoredTurn) -> None:
        """Raises Damaged if one of these is lost."""
        for one in needed:
            if one.sequence in self.lost:
                raise Damaged(f"the message {one.sequence} is lost")


class MemoryHistory:
    """See HistoryStore. `now` is the store's clock (seconds); `move` advances it."""

    def __init__(self, now: float = 1_000_000_000.0) -> None:
        self.now = now
        self.wakes = MemoryWakeUps()
        self._records: dict[RunId, _Record] = {}
        self._sequence = 0

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _record(self, run: RunId) -> _Record:
        return self._records.setdefault(run, _Record())

    async def create(self, run: RunId, first: RunStarted) -> bool:
        if self._record(run).inputs:
            return False
        await self.append_input(run, first)
        return True

    async def append_input(self, run: RunId, value: Input, *, after: int | None = None) -> int:
        record = self._record(run)
        newest = record.inputs[-1].sequence if record.inputs else 0
        if after is not None and after != newest:
            raise Conflict(f"the newest input of {run} is {newest}, not {after}")
        sequence = self._next()
        stored = StoredInput(sequence, self.now, decode_input(encode_input(value)))
        record.inputs.append(stored)
        self.wakes.tell(run, stored)
        return sequence

    async def append_turn(self, run: RunId, turn: Turn, *, after: int) -> int:
        record = self._record(run)
        newest = record.turns[-1].sequence if record.turns else 0
        if after != newest:
            raise Conflict(f"the newest turn of {run} is {newest}, not {after}")
        sequence = self._next()
        record.turns.append(StoredTurn(sequence, decode_turn(encode_turn(turn))))
        return sequence

    async def read(self, run: RunId) -> StoredHistory:
        record = self._record(run)
        try:
            record.whole(*record.inputs, *record.turns)
        except Damaged as damaged:
            raise Damaged(f"{damaged}, of run {run}", _remains(record)) from damaged
        return StoredHistory(list(record.inputs), list(record.turns), record.armed)

    async def inputs_after(
        self, run: RunId, sequence: int, *, at_most: int | None = None
    ) -> list[StoredInput]:
        record = self._record(run)
        found = [given for given in record.inputs if given.sequence > sequence][:at_most]
        record.whole(*found)
        return found

    async def started(self, run: RunId) -> RunStarted | None:
        inputs = self._record(run).inputs
        self._record(run).whole(*inputs[:1])
        first = inputs[0].input if inputs else None
        return first if isinstance(first, RunStarted) else None

    async def first_turn(self, run: RunId) -> StoredTurn | None:
        turns = self._record(run).turns
        self._record(run).whole(*turns[:1])
        return turns[0] if turns else None

    async def last_turn(self, run: RunId) -> StoredTurn | None:
        turns = self._record(run).turns
        self._record(run).whole(*turns[-1:])
        return turns[-1] if turns else None

    async def state(self, run: RunId) -> RunState | None:
        turns = self._record(run).turns
        return turns[-1].turn.state if turns else None

    async def turns_through(self, run: RunId) -> int:
        turns = self._record(run).turns
        return turns[-1].sequence if turns else 0

    async def arm(self, run: RunId, due: float) -> None:
        self._record(run).armed = due
        if due <= self.now:
            await self.move(self.now)

    async def disarm(self, run: RunId) -> None:
        self._record(run).armed = None

    def lose(self, run: RunId, sequence: int) -> None:
        """What a store does that has lost the body of a message."""
        self._record(run).lost.add(sequence)

    def runs(self) -> list[RunId]:
        """Every Run there is, oldest first."""
        return [run for run, record in self._records.items() if record.inputs]

    def next_due(self) -> float | None:
        """The earliest armed wake-up of any Run."""
        return min((r.armed for r in self._records.values() if r.armed is not None), default=None)

    async def move(self, now: float) -> None:
        """Advance the clock to `now` (never back), firing what is due on the way, in order."""
        while True:
            due = [(r.armed, run) for run, r in self._records.items() if r.armed is not None]
            if not due or min(due)[0] > now:
                break
            at, run = min(due)
            self.now = max(self.now, at)
            self._records[run].armed = None
            await self.append_input(run, TimerFired(due=at))
        self.now = max(self.now, now)


def _remains(record: _Record) -> Remains:
    lost = record.lost
    stored = StoredHistory(
        [given for given in record.inputs if given.sequence not in lost],
        [kept for kept in record.turns if kept.sequence not in lost],
        record.armed,
    )
    turns = [kept for kept in record.turns if kept.sequence in lost]
    return Remains(stored, [LostTurn(kept.sequence, kept.turn.state) for kept in turns])


def wake_of(run: RunId, stored: StoredInput) -> WakeUp:
    """The first hint of an input."""
    first = stored if isinstance(stored.input, RunStarted) else None
    return WakeUp(run, stored.sequence, redelivered=False, token=stored.sequence, first=first)


class MemoryWakeUps:
    """See WakeUps. `lose_handed_out` is what a crash of the engine does: all owed comes again."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[WakeUp] = asyncio.Queue()
        self.owed: dict[int, WakeUp] = {}

    def tell(self, run: RunId, stored: StoredInput) -> None:
        """A new input is stored."""
        wake = wake_of(run, stored)
        self.owed[stored.sequence] = wake
        self._queue.put_nowait(wake)

    def lose_handed_out(self) -> None:
        """Deliver everything that is owed again, as to an engine that has just started."""
        self._queue = asyncio.Queue()
        for wake in self.owed.values():
            self._queue.put_nowait(WakeUp(wake.run, wake.sequence, True, wake.token))

    async def __aiter__(self) -> AsyncIterator[WakeUp]:
        while True:
            yield await self._queue.get()

    async def done(self, wake: WakeUp) -> None:
        self.owed.pop(wake.sequence, None)

    async def later(self, wake: WakeUp, delay_s: float) -> None:
        self._queue.put_nowait(WakeUp(wake.run, wake.sequence, True, wake.token))

    async def extend(self, wake: WakeUp) -> None:
        """Nothing is ever given to a neighbour here."""
