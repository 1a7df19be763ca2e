"""Play: one seed. Engines that die and race, a Runner and people that do what the script says.

Everything is decided by one stream of dice on one loop without threads: the same seed is the same
story.
"""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from ci_host.adapters.memory.world import MemoryBundles
from ci_host.engine.actors import EngineLimits
from ci_host.ports import StoredHistory
from ci_host.settings import Hibernate
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from pipelines.events import JobFinished, RunStarted
from pipelines.ids import JobId, RunId
from pipelines.job import JobSpec, Outcome
from pipelines.priority import LEVELS
from tests.engine.world import Engine, begin
from tests.sim.judge import Verdict, judge, judge_groups, judge_order, leaf
from tests.sim.people import Crowd
from tests.sim.plans import Author
from tests.sim.stores import SimFeed, SimGroups, SimHistory, SimJobs
from tests.sim.told import Told
from tests.sim.weather import Life, Weather

# No wait of a plan is longer than half an hour, and a clock is set by an hour at most: when nothing
# has happened for so long, nothing ever will.
IDLE_MAX_S = 2 * 3600.0
LOOK_S = 5.0


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
        self.groups = SimGroups()
        # Apart from the other dice: a seed's story is what it was without priorities.
        self.priorities = Random(f"priorities of {seed}")
        self.told: list[Told] = []
        self.clock_was_set = False
        self.worked: dict[JobId, int] = {}
        self.sandbox = TenantHost(NativeImage())
        self.crowd = Crowd(self.dice, self.priorities, self.history, self.told, self._go)
        self._tasks: set[asyncio.Task[None]] = set()
        self.lives = 0

    async def play(self) -> list[Verdict]:
        """The whole story."""
        self._go(self.history.keep_time())
        for engine in range(self.dice.choice([1, 1, 2])):
            self._go(self._engine(engine))
        for number in range(self.dice.choice([1, 1, 1, 2, 3])):
            author = Author(self.dice)
            level = self.priorities.choice(LEVELS)
            run = await begin(
                self.history, self.bundles, author.source, f"{number}", author.beside, level
            )
            told = Told(run, author, author.ends)
            self.told.append(told)
            self._go(self.crowd.play(told))
            if self.dice.random() < 0.15:
                self._go(self.crowd.change_of_mind(told))
            if self.dice.random() < 0.25:
                self._go(self.crowd.pauses(told))
            if self.dice.random() < 0.05:
                self._go(self.crowd.kill(told))
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
        for written in self.groups.written.values():
            wrong += judge_order(histories, written)
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
            self._go(self.crowd.play(told))
        elif started.parent is not None:
            told = Told(run, self._told(started.parent.run).author, None)
            self.told.append(told)
            self._go(self.crowd.play(told))

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
            if ended and (await self.crowd.rerun() or await self.crowd.fork()):
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
            self.lives += 1
            life = Life(f"life-{self.lives}", self.weather)
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
            job=job,
            key=spec.key,
            attempt=spec.attempt,
            outcome=outcome,
            exit_code=code,
            outputs=self._outputs(spec) if outcome is Outcome.SUCCEEDED else msgspec.UNSET,
        )
        for _ in range(self.dice.choice([1, 1, 1, 2])):
            await self.history.append_input(RunId(spec.run), report)

    def _outputs(self, spec: JobSpec) -> dict[str, Any] | msgspec.UnsetType:
        return self._told(spec.run).author.script.outputs.get(leaf(spec.key)) or msgspec.UNSET

    def _outcome(self, spec: JobSpec) -> Outcome:
        return self._told(spec.run).author.script.jobs[leaf(spec.key)][spec.attempt - 1]

    async def _set_clock(self) -> None:
        await asyncio.sleep(self.dice.choice([0.0, 1.0, 100.0]))
        self.clock_was_set = True
        self.history.jump(self.dice.choice([-3600.0, -5.0, 5.0, 3600.0]))
