"""The simulated substrate: Histories on the loop's clock, wake-ups that go astray, a job queue.

It keeps what it promises (what was written stays, a timer fires, what is owed comes again) and
nothing more: hints come twice, late, to the wrong engine or not at first.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from random import Random

from ci_host.adapters.memory.history import MemoryHistory, MemoryWakeUps, wake_of
from ci_host.adapters.memory.world import MemoryGroups, MemoryJobs
from ci_host.ports import StoredInput, WakeUp
from pipelines.commands import StepKind
from pipelines.events import Input, RunStarted
from pipelines.group import Group
from pipelines.ids import JobId, RunId, StepKey, job_id
from pipelines.job import JobSpec
from pipelines.turn import Turn

ACK_WAIT_S = 30.0


class SimWakeUps(MemoryWakeUps):
    """Every input is owed until it is done; each engine has a feed of its own."""

    def __init__(self, dice: Random, astray: float) -> None:
        super().__init__()
        self._dice = dice
        self._astray = astray
        self._feeds: list[SimFeed] = []
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def feed(self) -> "SimFeed":
        """Begin to serve one more engine."""
        feed = SimFeed(self)
        self._feeds.append(feed)
        return feed

    def end(self, feed: "SimFeed") -> None:
        """This engine is gone; with the last one gone everything owed comes again at once."""
        self._feeds.remove(feed)
        if not self._feeds:
            for sequence in self.owed:
                self._again(sequence, 0.0)

    def tell(self, run: RunId, stored: StoredInput) -> None:
        sequence = stored.sequence
        self.owed[sequence] = wake_of(run, stored)
        self._again(sequence, self._late(), redelivered=False)
        if self._dice.random() < self._astray:
            self._hand_out(sequence, redelivered=True)

    def _late(self) -> float:
        return self._dice.choice([0.0, 0.05, 3.0]) if self._dice.random() < self._astray else 0.0

    def _again(self, sequence: int, after_s: float, *, redelivered: bool = True) -> None:
        timer = self._timers.pop(sequence, None)
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[sequence] = loop.call_later(after_s, self._deliver, sequence, redelivered)

    def _deliver(self, sequence: int, redelivered: bool) -> None:
        if sequence not in self.owed:
            del self._timers[sequence]
            return
        self._again(sequence, ACK_WAIT_S)
        if self._dice.random() >= self._astray:
            self._hand_out(sequence, redelivered)

    def _hand_out(self, sequence: int, redelivered: bool) -> None:
        if self._feeds:
            wake = replace(self.owed[sequence], redelivered=redelivered)
            self._dice.choice(self._feeds).queue.put_nowait(wake)

    async def later(self, wake: WakeUp, delay_s: float) -> None:
        if wake.sequence in self.owed:
            self._again(wake.sequence, delay_s)

    async def extend(self, wake: WakeUp) -> None:
        if wake.sequence in self.owed:
            self._again(wake.sequence, ACK_WAIT_S)


class SimFeed:
    """See WakeUps: what one engine is handed."""

    def __init__(self, wakes: SimWakeUps) -> None:
        self._wakes = wakes
        self.queue: asyncio.Queue[WakeUp] = asyncio.Queue()
        self.done = wakes.done
        self.later = wakes.later
        self.extend = wakes.extend

    async def __aiter__(self) -> AsyncIterator[WakeUp]:
        while True:
            yield await self.queue.get()


class SimHistory(MemoryHistory):
    """Histories whose clock follows the loop, and jumps. `on_begun` hears of every new Run."""

    def __init__(
        self, dice: Random, astray: float, on_begun: Callable[[RunId, RunStarted], None]
    ) -> None:
        super().__init__()
        self._on_begun = on_begun
        self.wakes = SimWakeUps(dice, astray)
        self.changed = asyncio.Event()
        self._base = self.now

    @property
    def written(self) -> int:
        """How many records there are."""
        return self._sequence

    def jump(self, seconds: float) -> None:
        """Somebody sets the machine's clock, forward or back."""
        self._base += seconds
        self._follow()
        self.changed.set()

    def _follow(self) -> None:
        self.now = self._base + asyncio.get_running_loop().time()

    async def create(self, run: RunId, first: RunStarted) -> bool:
        is_new = await super().create(run, first)
        if is_new:
            self._on_begun(run, first)
        return is_new

    async def append_input(self, run: RunId, value: Input, *, after: int | None = None) -> int:
        self._follow()
        self.changed.set()
        return await super().append_input(run, value, after=after)

    async def append_turn(self, run: RunId, turn: Turn, *, after: int) -> int:
        self._follow()
        self.changed.set()
        return await super().append_turn(run, turn, after=after)

    async def arm(self, run: RunId, due: float) -> None:
        self._follow()
        await super().arm(run, due)
        self.changed.set()

    async def keep_time(self) -> None:
        """Fire what is due, for ever."""
        while True:
            self._follow()
            await self.move(self.now)
            self.changed.clear()
            due = self.next_due()
            left = None if due is None else max(0.0, due - self.now)
            try:
                async with asyncio.timeout(left):
                    await self.changed.wait()
            except TimeoutError:
                pass


class SimGroups(MemoryGroups):
    """Groups that remember what they were: `written`, in order, by key."""

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[str, list[Group]] = {}

    async def write(self, repo: str, key: str, group: Group, *, after: int) -> None:
        await super().write(repo, key, group, after=after)
        self.written.setdefault(key, []).append(group)


class EffectTooEarly(AssertionError):
    """Something was asked of the world before the Turn that wants it was durable."""


class SimJobs(MemoryJobs):
    """A queue that knows what the Histories say; `on_offer` is the Runner's ear."""

    def __init__(self, history: MemoryHistory, on_offer: Callable[[JobSpec], None]) -> None:
        super().__init__()
        self._history = history
        self._on_offer = on_offer

    async def publish(self, spec: JobSpec) -> None:
        await self._is_recorded(RunId(spec.run), JobId(spec.id), "offered")
        await super().publish(spec)
        self._on_offer(spec)

    async def cancel(self, job: JobId, reason: str) -> None:
        await super().cancel(job, reason)

    async def _is_recorded(self, run: RunId, job: JobId, what: str) -> None:
        stored = await self._history.read(run)
        for turn in stored.turns:
            for command in turn.turn.commands:
                identity = job_id(run, StepKey(command.key), command.attempt)
                if command.kind is StepKind.JOB and identity == job:
                    return
        raise EffectTooEarly(f"job {job} was {what}, but no turn of {run} asks for it")
