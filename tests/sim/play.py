"""Play: one seed. Engines that die and race, a Runner and people that do what the script says.

Everything is decided by one stream of dice on one loop without threads: the same seed is the same
story. `trace` is that story's digest.
"""

import asyncio
import gc
import hashlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import structlog

from ci_host.access import Token
from ci_host.adapters.memory.world import MemoryBundles, MemoryGroups
from ci_host.engine.actors import EngineLimits
from ci_host.engine.forks import Forks, ForkWish
from ci_host.engine.people import Answer, People, PersonRefused
from ci_host.engine.reruns import Reruns, Wish
from ci_host.ports import StoredHistory, Unavailable
from ci_host.settings import Hibernate
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from pipelines.events import GateAnswered, JobFinished, RunStarted
from pipelines.ids import SHARDS_DEFAULT, JobId, RunId
from pipelines.job import JobSpec, Outcome
from tests.engine.world import Engine, begin
from tests.sim.judge import Verdict, judge, judge_groups, leaf
from tests.sim.loop import VirtualLoop
from tests.sim.plans import Author, Ends
from tests.sim.stores import SimFeed, SimHistory, SimJobs
from tests.sim.weather import Life, Weather

# No wait of a plan is longer than half an hour, and a clock is set by an hour at most: when nothing
# has happened for so long, nothing ever will.
IDLE_MAX_S = 2 * 3600.0
LOOK_S = 5.0
ADA = Token(name="ada", digest="")
BOB = Token(name="Bob", digest="")


@dataclass(slots=True)
class Told:
    """One Run of the simulation, and what its author and the world had in mind.

    `ends` None: it is a child, and what comes of it is its parent's affair.
    """

    run: RunId
    author: Author
    ends: Ends | None
    cancelled: bool = False
    killed: bool = False
    is_rerun: bool = False
    is_fork: bool = False
    of: RunId | None = None
    before: "Told | None" = None

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody cancelled it, or a Run that it continues."""
        return self.cancelled or (self.before is not None and self.before.is_cancelled)

    @property
    def is_killed(self) -> bool:
        """Whether somebody killed it, or a Run that it continues."""
        return self.killed or (self.before is not None and self.before.is_killed)


class World:
    """One seed's world. `play` answers what was wrong with it: an empty list is a pass."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.dice = Random(seed)
        self.folder = folder
        self.weather = Weather.of(self.dice)
        astray = self.dice.choice([0.0, 0.0, 0.1, 0.5])
        self.history = SimHistory(self.dice, astray, self._begun)
        self.jobs = SimJobs(self.history, self._offered)
        self.bundles = MemoryBundles()
        self.groups = MemoryGroups()
        self.told: list[Told] = []
        self.clock_was_set = False
        self.worked: dict[JobId, int] = {}
        self.sandbox = TenantHost(NativeImage())
        self._tasks: set[asyncio.Task[None]] = set()
        self._lives = 0

    async def play(self) -> list[Verdict]:
        """The whole story."""
        self._go(self.history.keep_time())
        for engine in range(self.dice.choice([1, 1, 2])):
            self._go(self._engine(engine))
        for number in range(self.dice.choice([1, 1, 1, 2, 3])):
            author = Author(self.dice)
            run = await begin(self.history, self.bundles, author.source, f"{number}", author.beside)
            told = Told(run, author, author.ends)
            self.told.append(told)
            self._go(self._people(told))
            if self.dice.random() < 0.15:
                self._go(self._change_of_mind(told))
            if self.dice.random() < 0.25:
                self._go(self._pauses(told))
            if self.dice.random() < 0.05:
                self._go(self._kill(told))
            told.is_rerun = self.dice.random() < 0.2
            told.is_fork = self.dice.random() < 0.15
        if self.dice.random() < 0.2:
            self._go(self._set_clock())
        try:
            await self._all_over()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._raise_broken()
        owed = {wake.run for wake in self.history.wakes.owed.values()}
        verdicts = [
            Verdict(told.run, told.author.source, wrong)
            for told in self.told
            if (wrong := judge(await self.stored(told), told, self, told.run in owed))
        ]
        return [*verdicts, *await self._verdict_on_groups()]

    async def _verdict_on_groups(self) -> list[Verdict]:
        first = self.told[0]
        histories = [await self.stored(told) for told in self.told]
        wrong = judge_groups(histories, is_patient=not self.clock_was_set)
        _, left = await self.groups.read("git/1", "all")
        if left.members:
            wrong.append(f"the group is not empty: {left.members}")
        return [Verdict(first.run, first.author.source, wrong)] if wrong else []

    def _begun(self, run: RunId, started: RunStarted) -> None:
        """A child or a successor is born: it is played like its parent, or the one before."""
        if started.continues is not None:
            before = self._told(started.continues.of)
            told = Told(run, before.author, before.ends, before=before)
            self.told.append(told)
            self._go(self._people(told))
        elif started.parent is not None:
            told = Told(run, self._told(started.parent.run).author, None)
            self.told.append(told)
            self._go(self._people(told))

    def _told(self, run: str) -> Told:
        return next(told for told in self.told if told.run == run)

    async def stored(self, told: Told) -> StoredHistory:
        """The Run's record."""
        return await self.history.read(told.run)

    def _go(self, coroutine: object) -> None:
        task = asyncio.ensure_future(coroutine)  # type: ignore[arg-type]
        self._tasks.add(task)

    def _raise_broken(self) -> None:
        for task in self._tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _all_over(self) -> None:
        """Until every Run has ended and nothing is owed, or nothing happens any more."""
        seen, idle_s = -1, 0.0
        while idle_s < IDLE_MAX_S:
            lasts = [await self.history.last_turn(told.run) for told in self.told]
            ended = all(last is not None and last.turn.end is not None for last in lasts)
            if ended and (await self._rerun() or await self._fork()):
                continue
            # An engine that lost a race may arm a timer after the end: it fires, and is let go.
            if ended and not self.history.wakes.owed and self.history.next_due() is None:
                return
            idle_s = idle_s + LOOK_S if self.history.written == seen else 0.0
            seen = self.history.written
            await asyncio.sleep(LOOK_S)

    # Engines.

    async def _engine(self, number: int) -> None:
        while True:
            self._lives += 1
            life = Life(f"life-{self._lives}", self.weather)
            feed = self.history.wakes.feed()
            engine = self._born(life, feed, number)
            death = asyncio.ensure_future(life.over.wait())
            try:
                await asyncio.wait({death, engine.task}, return_when="FIRST_COMPLETED")
                assert life.over.is_set(), f"the engine ended by itself: {engine.task}"
            finally:
                death.cancel()
                life.over.set()
                await engine.kill()
                self.history.wakes.end(feed)
            await asyncio.sleep(self.dice.choice([0.0, 0.5, 40.0]))

    def _born(self, life: Life, feed: SimFeed, number: int) -> Engine:
        folder = self.folder / f"engine-{number}"
        folder.mkdir(exist_ok=True)
        return Engine(
            life.port(self.history),
            life.port(feed),
            life.port(self.jobs),
            life.port(self.bundles),
            folder,
            life.name,
            sandbox=self.sandbox,
            limits=EngineLimits(hibernate=self.dice.choice(list(Hibernate))),
            groups=life.port(self.groups),
        )

    # Runner.

    def _offered(self, spec: JobSpec) -> None:
        self._go(self._work(spec))

    async def _work(self, spec: JobSpec) -> None:
        await asyncio.sleep(self.dice.choice([0.0, 0.01, 5.0]))
        job = JobId(spec.id)
        if job in self.jobs.claimed:
            return
        self.jobs.claimed.add(job)
        outcome = Outcome.CANCELLED
        if job not in self.jobs.cancelled:
            self.worked[job] = self.worked.get(job, 0) + 1
            outcome = self._outcome(spec)
            left_s = self.dice.choice([0.0, 0.2, 30.0, 300.0])
            while left_s > 0 and job not in self.jobs.cancelled:
                await asyncio.sleep(min(left_s, 10.0))
                left_s -= 10.0
            if job in self.jobs.cancelled:
                outcome = Outcome.CANCELLED
        code = {Outcome.SUCCEEDED: 0, Outcome.FAILED: 1}.get(outcome)
        report = JobFinished(
            job=job, key=spec.key, attempt=spec.attempt, outcome=outcome, exit_code=code
        )
        for _ in range(self.dice.choice([1, 1, 1, 2])):
            await self.history.append_input(RunId(spec.run), report)

    def _outcome(self, spec: JobSpec) -> Outcome:
        return self._told(spec.run).author.script.jobs[leaf(spec.key)][spec.attempt - 1]

    # People.

    def _person(self) -> People:
        return People(
            self.history,
            now=lambda: self.history.now,
            new_id=lambda: f"{self.dice.getrandbits(64):x}",
        )

    async def _people(self, told: Told) -> None:
        if told.before is None:
            self._send_signals(told)
        answered: set[str] = set()
        while True:
            last = await self.history.last_turn(told.run)
            if last is not None and last.turn.end is not None:
                return
            for gate in last.turn.open.gates if last is not None else []:
                if gate.key not in answered:
                    answered.add(gate.key)
                    self._go(self._answer(told, gate.key))
            for pause in last.turn.open.pauses if last is not None else []:
                if self.dice.random() < 0.3:
                    with suppress(PersonRefused, Unavailable):
                        await self._person().retry_now(told.run, pause.key, ADA)
            await asyncio.sleep(self.dice.choice([0.3, 4.0, 60.0]))

    def _send_signals(self, told: Told) -> None:
        """To the first of a chain: what it does not take is passed on."""
        for name, value in told.author.script.signals.items():
            self._go(self._signal(told, name, value))
        for name, value in told.author.script.noise.items():
            self._go(self._signal(told, name, value, f"noise-{name}"))

    async def _answer(self, told: Told, key: str) -> None:
        await self._not_by_bob(told, key)
        script = told.author.script.gates[leaf(key)]
        if script.approved is None:
            return
        inputs = {"value": script.value} if script.approved else {}
        for _ in range(self.dice.choice([1, 1, 2])):
            await asyncio.sleep(self.dice.choice([0.0, 1.0]))
            with suppress(PersonRefused, Unavailable):
                await self._person().answer_gate(
                    told.run, key, ADA, Answer(script.approved, inputs)
                )

    async def _not_by_bob(self, told: Told, key: str) -> None:
        """The host refuses him, and the plan would not hear him either."""
        with suppress(PersonRefused, Unavailable):
            await self._person().answer_gate(told.run, key, BOB, Answer(False, {}))
        forged = GateAnswered(id=f"bob-{key}", key=key, approved=False, by="bob")
        sequence = await self.history.append_input(told.run, forged)
        # The host would take it for an answer until the plan has ignored it.
        while (last := await self.history.last_turn(told.run)) is None or (
            last.turn.through < sequence and last.turn.end is None
        ):
            await asyncio.sleep(1)

    async def _signal(self, told: Told, name: str, value: object, id_: str = "") -> None:
        await asyncio.sleep(self.dice.choice([0.0, 0.5, 60.0, 900.0]))
        for _ in range(self.dice.choice([1, 1, 2])):
            with suppress(PersonRefused):
                await self._person().signal(told.run, name, value, ADA, id_ or f"signal-{name}")

    async def _change_of_mind(self, told: Told) -> None:
        await asyncio.sleep(self.dice.choice([0.0, 0.2, 20.0, 500.0]))
        told.cancelled = True
        with suppress(PersonRefused):
            await self._person().cancel(told.run, "changed my mind", ADA)

    async def _pauses(self, told: Told) -> None:
        """Somebody who pauses now and then, and never forgets to let it go on."""
        for _ in range(self.dice.choice([1, 1, 3])):
            await asyncio.sleep(self.dice.choice([0.0, 0.2, 20.0, 500.0]))
            with suppress(PersonRefused):
                await self._person().pause(told.run, "a moment", ADA)
                await asyncio.sleep(self.dice.choice([0.0, 0.5, 60.0, 1500.0]))
            with suppress(PersonRefused):
                await self._person().resume(told.run, ADA)

    async def _kill(self, told: Told) -> None:
        await asyncio.sleep(self.dice.choice([0.0, 0.2, 20.0, 500.0]))
        told.killed = True
        with suppress(PersonRefused):
            await self._person().kill(told.run, "enough", ADA)

    async def _rerun(self) -> bool:
        """Somebody has a Run of which nothing moves any more tried again; whether anybody did."""
        wished = [told for told in self.told if told.is_rerun]
        for told in wished:
            told.is_rerun = False
            # People send all their signals again; where two have one name, the order would tell.
            kept = not told.author.script.noise and self.dice.random() < 0.8
            wish = Wish(failed_only=kept)
            begun = await Reruns(self.history, SHARDS_DEFAULT).rerun(told.run, wish, BOB)
            again = Told(begun.run, told.author, told.ends, of=told.run)
            self.told.append(again)
            self._go(self._people(again))
        return bool(wished)

    async def _fork(self) -> bool:
        """Somebody forks what is over, from anywhere in it; whether anybody did."""
        wished = [told for told in self.told if told.is_fork]
        for told in wished:
            told.is_fork = False
            stored = await self.history.read(told.run)
            keys = [c.key for kept in stored.turns for c in kept.turn.commands]
            # As with a rerun: where two signals have one name, the order would tell.
            chosen = "" if told.author.script.noise else self.dice.choice(["", *keys])
            wish = ForkWish("again", {}, chosen)
            forks = Forks(self.history, SHARDS_DEFAULT)
            for _ in range(self.dice.choice([1, 2])):
                made = await forks.fork(told.run, wish, "Bob", None)
            forked = Told(made.run, told.author, told.ends, of=told.run)
            self.told.append(forked)
            self._go(self._people(forked))
        return bool(wished)

    async def _set_clock(self) -> None:
        await asyncio.sleep(self.dice.choice([0.0, 1.0, 100.0]))
        self.clock_was_set = True
        self.history.jump(self.dice.choice([-3600.0, -5.0, 5.0, 3600.0]))


@dataclass(frozen=True, slots=True)
class Story:
    """What a seed came to: what was wrong, and a digest of everything that was recorded."""

    seed: int
    verdicts: list[Verdict]
    trace: str
    turns: int
    lives: int


def tell_all(seeds: Sequence[int]) -> list[Story]:
    """Play these, one after another; what the engine says meanwhile is not heard."""
    structlog.configure(processors=[unheard])
    stories = []
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="staunch-sim-") as folder, kept_to_the_end():
            stories.append(tell(seed, Path(folder)))
    return stories


@contextmanager
def kept_to_the_end() -> Iterator[None]:
    """Let go of a story's plans when it is over, and hear nothing of it.

    All plans share this process. The collector would otherwise close one that a dead engine left
    behind in the midst of another's Turn, and what it complains of would be printed there.
    """
    was_on, hook = gc.isenabled(), sys.unraisablehook
    gc.disable()
    gc.freeze()
    try:
        yield
        sys.unraisablehook = lambda _: None
        gc.collect()
    finally:
        sys.unraisablehook = hook
        gc.unfreeze()
        if was_on:
            gc.enable()


def unheard(*_: object) -> Any:
    """A log processor that lets nothing through."""
    raise structlog.DropEvent


def tell(seed: int, folder: Path) -> Story:
    """Play one seed."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_tell(seed, folder))


async def _tell(seed: int, folder: Path) -> Story:
    world = World(seed, folder)
    verdicts = await world.play()
    trace = hashlib.sha256()
    turns = 0
    for told in world.told:
        stored = await world.stored(told)
        turns += len(stored.turns)
        trace.update(repr((stored.inputs, [(t.sequence, t.turn) for t in stored.turns])).encode())
    return Story(seed, verdicts, trace.hexdigest()[:16], turns, world._lives)
