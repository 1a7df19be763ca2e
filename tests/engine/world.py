"""World: one engine over the given ports, the in-process sandbox, and a Runner played by hand."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.adapters.memory.world import MemoryBundles, MemoryGroups, MemoryJobs
from ci_host.engine.actors import Actors, EngineLimits
from ci_host.engine.crash_slots import CrashSlots
from ci_host.engine.live import Loader, Prepareds
from ci_host.engine.sandbox_threads import SandboxThreads
from ci_host.engine.turns import TurnMaker
from ci_host.ports import Groups, HistoryStore, Jobs, WakeUps
from ci_host.settings import Hibernate
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from ci_host.tenant.sandbox import Sandbox, WrongImage
from pipelines.bundle import Bundle
from pipelines.event import Event, EventKind
from pipelines.events import JobFinished, RunStarted, unless_normal
from pipelines.ids import RunId, StepKey, job_id, run_id
from pipelines.job import Outcome, Source
from pipelines.priority import Priority
from pipelines.supposed import Supposed
from pipelines.turn import Turn
from tests.patience import PATIENCE_S

# The whole suite of the engine can be run with each of the ways to keep Tenants.
HIBERNATE = Hibernate(os.environ.get("STAUNCH_HIBERNATE", "idle"))

COMMIT = "a" * 40
FILE = ".staunch/pipeline.py"


@dataclass(frozen=True)
class OneSandbox:
    """See Sandboxes: the given one, and older ones by digest."""

    current: Sandbox
    older: dict[str, Sandbox]

    def of_image(self, image: str) -> Sandbox:
        if image not in self.older:
            raise WrongImage(f"guest image {image[:12]} is gone")
        return self.older[image]


class Engine:
    """One life of an engine. `kill` is what -9 does: nothing is tidied up, nothing is told."""

    def __init__(
        self,
        history: HistoryStore,
        wakes: WakeUps,
        jobs: Jobs,
        bundles: MemoryBundles,
        folder: Path,
        name: str,
        sandbox: Sandbox | None = None,
        limits: EngineLimits | None = None,
        older: dict[str, Sandbox] | None = None,
        groups: Groups | None = None,
    ) -> None:
        self.sandbox = sandbox or TenantHost(NativeImage())
        self.slots = CrashSlots(folder / "engine.slots", 2)
        self.threads = SandboxThreads(self.slots, 2)
        sandboxes = OneSandbox(self.sandbox, older or {})
        self.actors = Actors(
            history,
            wakes,
            Loader(history, Prepareds(bundles, self.threads), sandboxes, self.threads),
            TurnMaker(history, jobs, groups or MemoryGroups(), self.threads, name),
            self.threads,
            self.sandbox,
            self.slots,
            limits or EngineLimits(hibernate=HIBERNATE),
        )
        self.task = asyncio.create_task(self.actors.serve())

    async def kill(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.actors.close()
        self.threads.close()


async def begin(
    history: HistoryStore,
    bundles: MemoryBundles,
    source: str,
    name: str = "1",
    beside: dict[str, str] | None = None,
    priority: Priority = Priority.NORMAL,
    supposed: Supposed | None = None,
) -> RunId:
    """Start a Run of this pipeline source; the same name is the same Run.

    `beside` are the other pipelines of its Bundle, by name.
    """
    others = {f".staunch/{other}.py": text for other, text in (beside or {}).items()}
    bundle = Bundle(files={FILE: source, **others})
    digest = await bundles.put(bundle)
    run = run_id("test", name, source)
    started = RunStarted(
        run=run,
        repo="git/1",
        repo_name="demo",
        connection="git",
        pipeline="pipeline",
        file=FILE,
        bundle=digest,
        source=Source(mirror="/nowhere", commit=COMMIT),
        event=Event(kind=EventKind.PUSH, ref="refs/heads/main", commit=COMMIT, sender="bob"),
        priority=unless_normal(priority),
        supposed=supposed or msgspec.UNSET,
    )
    await history.create(run, started)
    return run


def finished(
    run: RunId, key: str, attempt: int = 1, outcome: Outcome = Outcome.SUCCEEDED
) -> JobFinished:
    """A Runner's report."""
    code = 0 if outcome is Outcome.SUCCEEDED else 1
    identity = job_id(run, StepKey(key), attempt)
    return JobFinished(job=identity, key=key, attempt=attempt, outcome=outcome, exit_code=code)


async def until(condition, timeout_s: float = PATIENCE_S):
    """Wait until an (async) condition gives something true, and answer that."""
    async with asyncio.timeout(timeout_s):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.002)


async def turns_of(history: HistoryStore, run: RunId) -> list[Turn]:
    """The Run's Turns."""
    return [stored.turn for stored in (await history.read(run)).turns]


async def ended(history: HistoryStore, run: RunId) -> Turn:
    """Wait for the Run's end, and answer the last Turn."""

    async def over() -> Turn | None:
        last = await history.last_turn(run)
        return last.turn if last is not None and last.turn.end is not None else None

    return await until(over)


class MemoryWorld:
    """All ports in memory, and engines that can be killed and started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.history = MemoryHistory()
        self.jobs = MemoryJobs()
        self.bundles = MemoryBundles()
        self.groups = MemoryGroups()
        self.lives = 0
        self.engine: Engine | None = None

    def start(self, **how: object) -> Engine:
        self.lives += 1
        self.engine = Engine(
            self.history,
            self.history.wakes,
            self.jobs,
            self.bundles,
            self.folder,
            f"life-{self.lives}",
            groups=self.groups,
            **how,  # type: ignore[arg-type]
        )
        return self.engine

    async def restart(self) -> Engine:
        assert self.engine is not None
        await self.engine.kill()
        self.history.wakes.lose_handed_out()
        return self.start()

    async def begin(
        self,
        source: str,
        name: str = "1",
        beside: dict[str, str] | None = None,
        priority: Priority = Priority.NORMAL,
        supposed: Supposed | None = None,
    ) -> RunId:
        return await begin(self.history, self.bundles, source, name, beside, priority, supposed)

    async def ended(self, run: RunId) -> Turn:
        return await ended(self.history, run)

    async def settled(self) -> None:
        """Until nothing is owed any more."""
        await until(lambda: not self.history.wakes.owed)


@asynccontextmanager
async def memory_world(folder: Path) -> AsyncIterator[MemoryWorld]:
    world = MemoryWorld(folder)
    world.start()
    try:
        yield world
    finally:
        assert world.engine is not None
        await world.engine.kill()


def output_of(turn: Turn) -> object:
    """What the Run returned; fails with the Run's error if it did not succeed."""
    assert turn.end is not None
    assert turn.end.error is None, msgspec.json.encode(turn.end.error)
    return turn.end.output


async def waiting(world: MemoryWorld, run: RunId) -> None:
    """Until the Run has made a Turn and nothing is owed for it."""

    async def has_turn() -> bool:
        return await world.history.last_turn(run) is not None and not world.history.wakes.owed

    await until(has_turn)
