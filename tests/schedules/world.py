"""World: the schedules of a Repo on memory ports, and a clock that a test moves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ci_host.access import Token
from ci_host.adapters.memory.history import MemoryHistory
from ci_host.adapters.memory.timetables import MemoryTimetables
from ci_host.adapters.memory.world import MemoryBundles
from ci_host.engine.crash_slots import CrashSlots
from ci_host.engine.live import Prepareds
from ci_host.engine.pipeline_files import PipelineFiles
from ci_host.engine.ringing import Ringing
from ci_host.engine.sandbox_threads import SandboxThreads
from ci_host.engine.schedule_acts import ScheduleActs
from ci_host.engine.schedules import Schedules
from ci_host.ports import Head, NoPipeline, SourceRefused, SourceUnavailable
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from pipelines.bundle import Bundle
from pipelines.event import Event, EventKind
from pipelines.events import RunStarted
from pipelines.ids import RunId
from pipelines.repo import Repo
from pipelines.run import RunState
from pipelines.schedule import Entry, Timetable
from pipelines.turn import End, Turn
from tests.engine.crashes import Life
from tests.patience import PATIENCE_S

FILE = ".staunch/pipeline.py"
MAIN = "refs/heads/main"
REPO = Repo(id="git/1", connection="git", external_id="1", name="demo", clone_url="/srv/demo.git")
# Monday, 2001-09-10, 00:00 UTC.
MONDAY = 1_000_080_000.0
HOUR, DAY = 3_600.0, 86_400.0
RUN = "\n\nasync def run(event, step):\n    return event.schedule\n"


@dataclass
class MemorySource:
    """See Source: commits are digests of their files; branches lead to them."""

    commits: dict[str, dict[str, str]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    default: str = MAIN
    is_away: bool = False
    kept: dict[str, str] = field(default_factory=dict)

    def push(self, files: dict[str, str], ref: str = MAIN) -> str:
        commit = f"{len(self.commits) + 1:040x}"
        self.commits[commit] = files
        self.branches[ref] = commit
        return commit

    def bundle(self, repo: Repo, commit: str, ref: str) -> Bundle:
        self._answer()
        if not self.commits[commit]:
            raise NoPipeline(f"commit {commit} has no pipeline")
        return Bundle(files=self.commits[commit])

    def find(self, repo: Repo, name: str, ref: str) -> str:
        self._answer()
        found = [commit for commit in self.commits if commit.startswith(name)]
        if len(found) != 1:
            raise SourceRefused(f"{len(found)} commits begin with {name}")
        return found[0]

    def head(self, repo: Repo) -> Head | None:
        self._answer()
        commit = self.branches.get(self.default)
        return None if commit is None else Head(self.default, commit)

    def keep(self, repo: Repo, commit: str, run: RunId) -> str:
        self.kept[run] = commit
        return "/mirror"

    def _answer(self) -> None:
        if self.is_away:
            raise SourceUnavailable("the forge does not answer")


@dataclass
class OneRepo:
    """See Catalog."""

    async def connection(self, connection: str) -> None:
        return None

    async def repo(self, repo: str) -> Repo | None:
        return REPO if repo == REPO.id else None


NIGHTLY = "on.schedule('0 3 * * *', name='nightly'{})"
THREE = MONDAY + 3 * HOUR
ADA = Token(digest="d", name="ada", created_at=0.0)


class ScheduleWorld:
    """`engine()` begins a life of one; the ports stay."""

    def __init__(self, folder: Path) -> None:
        self.timetables = MemoryTimetables(MONDAY)
        self.history = MemoryHistory(MONDAY)
        self.source = MemorySource()
        self.sandbox = TenantHost(NativeImage())
        self.threads = SandboxThreads(CrashSlots(folder / "engine.slots", 1), 1)
        self.bundles = MemoryBundles()
        self.schedules = self.engine()

    @property
    def now(self) -> float:
        return self.timetables.time

    def engine(self, life: Life | None = None, store: object = None) -> Schedules:
        """The real code over these ports, as a life sees them."""
        port = life.port if life is not None else lambda one: one
        files = PipelineFiles(
            self.source,
            self.bundles,
            Prepareds(self.bundles, self.threads),
            self.sandbox,
            lambda: self.now,
        )
        return Schedules(
            port(store or self.timetables),
            OneRepo(),
            self.source,
            files,
            port(self.history),
            shards=4,
        )

    async def push(
        self, text: str, ref: str = MAIN, schedules: Schedules | None = None, **more: str
    ) -> str:
        """Push a pipeline whose top is `text`, as a Delivery brings it; answers what was said."""
        files = {FILE: f"from staunch import on\n{text}{RUN}"} if text else {}
        files |= {
            f".staunch/{name}.py": f"from staunch import on\n{top}{RUN}"
            for name, top in more.items()
        }
        commit = self.source.push(files, ref)
        return await self.pushed(commit, ref, schedules)

    async def pushed(self, commit: str, ref: str = MAIN, schedules: Schedules | None = None) -> str:
        """The Delivery of a push comes (again)."""
        schedules = schedules or self.schedules
        event = Event(kind=EventKind.PUSH, ref=ref, commit=commit)
        try:
            entries = (await schedules._files.at(REPO, commit, ref)).entries
        except NoPipeline:
            entries = []
        return await schedules.look(REPO, event, entries)

    async def ring(self, schedules: Schedules | None = None) -> None:
        """Have everything that rings seen to, until nothing is owed."""
        ringing = Ringing(self.timetables.rings, schedules or self.schedules)
        task = asyncio.create_task(ringing.serve())
        try:
            async with asyncio.timeout(PATIENCE_S):
                while self.timetables.rings.owed and not task.done():
                    await asyncio.sleep(0.0005)
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def move(self, to: float, schedules: Schedules | None = None) -> None:
        """Let time pass with an engine at work: each alarm is seen to when it rings."""
        while (due := self.timetables.armed.get(REPO.id)) is not None and due <= to:
            self.timetables.move(due)
            await self.ring(schedules)
        self.timetables.move(to)

    async def table(self) -> Timetable:
        return (await self.timetables.read(REPO.id))[1]

    async def entry(self, name: str = "nightly") -> Entry:
        return next(e for e in (await self.table()).entries if e.schedule.name == name)

    async def starts(self) -> list[RunStarted]:
        """What began every Run, oldest first; each Run only once."""
        found = []
        for run in self.history.runs():
            inputs = (await self.history.read(run)).inputs
            assert len(inputs) == 1, f"{run} was begun more than once"
            found.append(inputs[0].input)
        return found

    async def dues(self) -> list[float]:
        """The due times that have a Run, in order of their beginning."""
        return [started.event.schedule.due for started in await self.starts()]

    async def end(self, run: str) -> None:
        """The Run is over."""
        turn = Turn(
            number=1,
            consumed=[],
            through=1,
            now=self.now,
            state=RunState.SUCCEEDED,
            end=End(state=RunState.SUCCEEDED),
            digest="0" * 16,
            by="test",
        )
        await self.history.append_turn(RunId(run), turn, after=0)

    def close(self) -> None:
        self.threads.close()
        self.sandbox.close()


@asynccontextmanager
async def schedule_world(folder: Path) -> AsyncIterator[ScheduleWorld]:
    world = ScheduleWorld(folder)
    try:
        yield world
    finally:
        world.close()


def acts(world: ScheduleWorld) -> ScheduleActs:
    """What people do to this world's schedules."""
    serial = iter(range(1_000))
    return ScheduleActs(world.timetables, new_id=lambda: f"id{next(serial)}", shards=4)


def nightly(**options: object) -> str:
    """Declares the schedule `nightly` with these options."""
    return NIGHTLY.format("".join(f", {name}={value!r}" for name, value in options.items()))
