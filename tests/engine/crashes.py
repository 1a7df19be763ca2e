"""Crashes: ports that die with their engine at a chosen operation, and a world that plays on.

`Deadly` counts every call that an engine's life makes on its ports. At the chosen one the life
ends, either before the operation has happened or right after it: exactly what kill -9 can do.
"""

import asyncio
import inspect
from pathlib import Path
from typing import Any

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.adapters.memory.world import MemoryBundles, MemoryGroups, MemoryJobs
from pipelines.events import GateAnswered
from pipelines.ids import JobId, RunId
from pipelines.priority import Priority
from tests.engine.world import Engine, begin, finished
from tests.patience import PATIENCE_S

MOVING = {
    "write",
    "create",
    "append_turn",
    "append_input",
    "record",
    "told",
    "read",
    "inputs_after",
    "last_turn",
    "state",
    "started",
    "arm",
    "disarm",
    "publish",
    "cancel",
    "is_claimed",
    "release",
    "remove",
    "withdraw",
    "take_off",
    "done",
    "later",
}


# The engine has this many moments to show that it is still at something.
IDLE_MAX = 200


class Killed(BaseException):
    """The engine's life ends here; nothing of it may catch this."""


class Life:
    """Counts operations of one engine's life; ends it at number `ends_at` (None: never)."""

    def __init__(self, ends_at: int | None, *, after: bool) -> None:
        self.ends_at = ends_at
        self.after = after
        self.count = 0
        self.over = asyncio.Event()
        self.last = ""

    def port(self, target: object) -> Any:
        """The port as this life sees it."""
        return Deadly(target, self)


class Deadly:
    """A port whose operations count towards the end of a life."""

    def __init__(self, target: object, life: Life) -> None:
        self._target, self._life = target, life

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._target, name)
        if name not in MOVING or not inspect.iscoroutinefunction(real):
            return real

        async def counted(*arguments: object, **named: object) -> object:
            life = self._life
            if life.over.is_set():
                raise Killed
            life.count += 1
            dies_here = life.count == life.ends_at
            if dies_here and not life.after:
                return self._die(name)
            answer = await real(*arguments, **named)
            return self._die(name) if dies_here else answer

        return counted

    def __aiter__(self) -> Any:
        return self._target.__aiter__()  # type: ignore[attr-defined]

    def _die(self, name: str) -> object:
        self._life.last = name
        self._life.over.set()
        raise Killed


class CrashingWorld:
    """Ports in memory, a Runner and a person that always answer, and one engine after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.history = MemoryHistory()
        self.jobs = MemoryJobs()
        self.bundles = MemoryBundles()
        self.groups = MemoryGroups()
        self.lives: list[Life] = []
        self.engine: Engine | None = None
        self._reported: set[JobId] = set()

    def live(self, ends_at: int | None, *, after: bool = False) -> Life:
        """Begin a life of the engine."""
        life = Life(ends_at, after=after)
        self.lives.append(life)
        self.engine = Engine(
            life.port(self.history),
            life.port(self.history.wakes),
            life.port(self.jobs),
            self.bundles,
            self.folder,
            f"life-{len(self.lives)}",
            groups=life.port(self.groups),
        )
        return life

    async def die(self) -> None:
        """What is left of a life goes; everything that it was owed comes again."""
        assert self.engine is not None
        self.lives[-1].over.set()
        await self.engine.kill()
        self.history.wakes.lose_handed_out()

    async def begin(
        self,
        source: str,
        beside: dict[str, str] | None = None,
        name: str = "1",
        priority: Priority = Priority.NORMAL,
    ) -> RunId:
        return await begin(self.history, self.bundles, source, name, beside, priority)

    async def play_all(self, life: Life) -> bool:
        """As `play`, until every Run is over."""
        played: set[RunId] = set()
        while left := [run for run in self.history.runs() if run not in played]:
            for run in left:
                if not await self.play(run, life):
                    return False
                played.add(run)
        return True

    async def play(self, run: RunId, life: Life) -> bool:
        """Play Runner, person and clock until the Run is over and settled, or the life ends."""
        idle = 0
        async with asyncio.timeout(PATIENCE_S):
            while not life.over.is_set():
                last = await self.history.last_turn(run)
                if last is not None and last.turn.end is not None and not self.history.wakes.owed:
                    return not life.over.is_set()
                idle += 1
                if await self._answer(run) or self.history.wakes.owed:
                    idle = 0
                else:
                    assert idle < IDLE_MAX, "the run hangs: nothing will ever wake it"
                    await self._move_clock()
                await asyncio.sleep(0.0005)
        return False

    async def _answer(self, run: RunId) -> bool:
        """Report every job that was offered; approve every gate that is open."""
        for spec in list(self.jobs.offers):
            identity = JobId(spec.id)
            self.jobs.claimed.add(identity)
            if identity not in self._reported and identity not in self.jobs.cancelled:
                self._reported.add(identity)
                of = RunId(spec.run)
                await self.history.append_input(of, finished(of, spec.key, spec.attempt))
                return True
        last = await self.history.last_turn(run)
        gates = last.turn.open.gates if last is not None else []
        inputs = [g.input for g in (await self.history.read(run)).inputs]
        answered = {i.key for i in inputs if isinstance(i, GateAnswered)}
        for gate in gates:
            if gate.key not in answered:
                value = GateAnswered(id=gate.key, key=gate.key, approved=True, by="ada")
                await self.history.append_input(run, value)
                return True
        return False

    async def _move_clock(self) -> None:
        due = self.history.next_due()
        if due is not None:
            await self.history.move(due)


async def check_history(world: CrashingWorld, run: RunId) -> None:
    """What must hold for every finished Run, whatever happened to its engines."""
    stored = await world.history.read(run)
    turns = [kept.turn for kept in stored.turns]
    assert [turn.number for turn in turns] == list(range(1, len(turns) + 1)), "turns are gapless"
    consumed = [sequence for turn in turns for sequence in turn.consumed]
    assert len(consumed) == len(set(consumed)), "every input is consumed once"
    there = [given.sequence for given in stored.inputs if given.sequence <= turns[-1].through]
    assert sorted(consumed) == there, "no input was skipped"
    assert stored.armed is None, "no timer is left behind"
    settled = [
        (result.key, result.attempt)
        for turn in turns
        for result in turn.results
        if result.state != "retrying"
    ]
    assert len(settled) == len(set(settled)), "every step has one result"
