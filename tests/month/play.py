"""Play: one seed's month. A host that dies now and then, and comes back to what is on its disk."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import httpx2
from fastapi import FastAPI

from ci_host.adapters.memory.names import MemoryDeeds, MemoryOwnerSettings
from ci_host.adapters.memory.sights import MemoryHearsay, MemorySights
from ci_host.adapters.memory.statuses import MemoryUntoldStatuses
from ci_host.adapters.memory.timetables import MemoryTimetables
from ci_host.adapters.memory.trust import MemoryPulls, MemoryTrust
from ci_host.adapters.memory.world import MemoryBundles, MemoryJobs
from ci_host.engine.admissions import Admissions
from ci_host.engine.attention import Attention, Heeded
from ci_host.engine.change_lists import ChangeLists
from ci_host.engine.comment_commands import CommentCommands
from ci_host.engine.crash_slots import CrashSlots
from ci_host.engine.forge_gates import ForgeGates
from ci_host.engine.forge_reruns import ForgeReruns
from ci_host.engine.intake import Intake
from ci_host.engine.live import Prepareds
from ci_host.engine.named_source import NamedSource
from ci_host.engine.notices import Notices
from ci_host.engine.people import People
from ci_host.engine.pipeline_files import PipelineFiles
from ci_host.engine.reconciler import Reconciler
from ci_host.engine.ref_news import RefNews
from ci_host.engine.renames import Renames
from ci_host.engine.sandbox_threads import SandboxThreads
from ci_host.engine.schedules import Schedules
from ci_host.engine.status_delivery import StatusDelivery, StatusRetelling
from ci_host.engine.statuses import StatusReporter
from ci_host.engine.triggers import Triggers
from ci_host.ports import TurnNews
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from pipelines.events import RunStarted
from pipelines.ids import RunId
from pipelines.repo import Connection, Delivery, DeliveryOutcome, ForgeKind, Repo
from pipelines.turn import Turn
from tests.engine.world import Engine
from tests.month.forge import TOKEN, URL, SeededForge
from tests.month.queues import MonthInbox, MonthOutbox, MonthQueue, turns_queue
from tests.month.script import DAY, HOUR, SECRET, Script
from tests.sim.stores import SimHistory
from webhooks.changes import Changes
from webhooks.forge import Ignored, Later, ParsedEvent
from webhooks.github.app import AppTokens
from webhooks.memory import MemoryConnections
from webhooks.names import ForgeNames
from webhooks.reconciled import RECONCILED_EVENT, parse_reconciled
from webhooks.registry import parse_delivery
from webhooks.reporter import StatusSender
from webhooks.routes import Hook, webhook_routes

INTERVAL_S, GRACE_S, LOOK_S = 300.0, 30.0, 30.0
REPOS = 4
HUB = Connection(
    id="hub",
    kind=ForgeKind.GITHUB,
    api_url=URL,
    token=TOKEN,
    secrets=[SECRET],
)


class MonthHistory(SimHistory):
    """Histories whose Turns are owed to whoever tells of them."""

    def __init__(self, dice: Random) -> None:
        super().__init__(dice, 0.0, lambda run, started: None)
        self.turns: MonthQueue[TurnNews] = turns_queue()

    async def append_turn(self, run: RunId, turn: Turn, *, after: int) -> int:
        sequence = await super().append_turn(run, turn, after=after)
        self.turns.put(TurnNews(run, turn))
        return sequence


@dataclass
class Known:
    """The catalog, and what became of deliveries."""

    repos: dict[str, Repo] = field(default_factory=dict)
    outcomes: list[DeliveryOutcome] = field(default_factory=list)

    async def connection(self, connection: str) -> Connection | None:
        return HUB if connection == HUB.id else None

    async def repo(self, repo: str) -> Repo | None:
        return self.repos.get(repo)

    async def put_repo(self, repo: Repo) -> None:
        self.repos[repo.id] = repo

    async def tell(self, outcome: DeliveryOutcome) -> None:
        self.outcomes.append(outcome)

    async def runs(self, repo: Repo, suite: str) -> list[str]:
        return []


@dataclass
class Host:
    """One life of the host: what runs in it, and what it holds."""

    engine: Engine
    tasks: "list[asyncio.Future[None]]"
    client: httpx2.AsyncClient
    threads: SandboxThreads

    async def kill(self) -> Exception | None:
        """End it anywhere; answers what had broken in it by itself."""
        for task in self.tasks:
            task.cancel()
        ended = await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.engine.kill()
        await self.client.aclose()
        self.threads.close()
        return next((one for one in ended if isinstance(one, Exception)), None)


class Month:
    """What outlives the host is in here: its stores, and the world."""

    def __init__(self, seed: int, folder: Path, *, reconciles: bool = True) -> None:
        self.dice = Random(seed)
        self.folder = folder
        self.reconciles = reconciles
        self.forge = SeededForge(self.dice)
        self.known = Known()
        for number in range(REPOS):
            made = self.forge.make(f"acme/repo-{number}")
            repo = Repo(
                id=f"hub/{made.id}",
                connection="hub",
                external_id=str(made.id),
                name=made.name,
                clone_url=made.clone_url,
            )
            self.known.repos[repo.id] = repo
        self.history = MonthHistory(self.dice)
        self.inbox, self.outbox = MonthInbox(), MonthOutbox()
        self.untold, self.deeds = MemoryUntoldStatuses(), MemoryDeeds()
        self.sights, self.hearsay = MemorySights(), MemoryHearsay()
        self.bundles = MemoryBundles()
        self.sandbox = TenantHost(NativeImage())
        self.app = FastAPI()
        connections = MemoryConnections(HUB)
        self.app.include_router(
            webhook_routes(Hook(connections=connections, inbox=self.inbox, now=self.now))
        )
        self.connections = connections
        self.is_up = False
        self.downs: list[tuple[float, float]] = []
        self.lives = 0
        self.looks = 0

    def now(self) -> float:
        """Seconds since the epoch, as the stores have them."""
        return 1_000_000_000.0 + asyncio.get_running_loop().time()

    async def play(self) -> None:
        """A month, and then as long as it takes until nothing is owed any more."""
        keeping = asyncio.ensure_future(self.history.keep_time())
        living = asyncio.ensure_future(self._lives())
        try:
            await Script(self.dice, self.forge, self._call).play()
            await self._quiet()
        finally:
            for task in (keeping, living):
                task.cancel()
            await asyncio.gather(keeping, living, return_exceptions=True)

    def _renames(self, client: httpx2.AsyncClient) -> Renames:
        return Renames(
            ForgeNames(self.connections, client, AppTokens(client, self.now), now=self.now),
            self.known,
            MemoryOwnerSettings(),
            self.deeds,
            now=self.now,
            elapsed=asyncio.get_running_loop().time,
        )

    async def _call(self, headers: dict[str, str], body: bytes) -> None:
        """A webhook call, over HTTP without a socket; lost while we are down."""
        if not self.is_up:
            return
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://host") as client:
            answer = await client.post("/hooks/hub", content=body, headers=headers)
        assert answer.status_code == 202, answer.text

    async def _quiet(self) -> None:
        """Until all is seen to: looked at once more, started, over, and told."""
        self.forge.ill.clear()
        for _ in range(200):
            await asyncio.sleep(HOUR)
            owed = self.inbox.queue.owed or self.outbox.queue.owed or self.history.turns.owed
            if self.is_up and not owed and self.history.next_due() is None:
                return
        raise AssertionError("a week after the month something is still owed")

    # The host.

    async def _lives(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.lives += 1
            host = self._born()
            self.is_up = True
            try:
                await asyncio.sleep(self.dice.uniform(0.2, 6.0) * DAY)
            finally:
                self.is_up = False
                await self._die(host)
            began = loop.time()
            await asyncio.sleep(self.dice.choice([1.0, 60.0, HOUR, 9 * HOUR]))
            self.downs.append((began, loop.time()))

    def _born(self) -> Host:
        folder = self.folder / f"life-{self.lives}"
        folder.mkdir()
        engine = Engine(
            self.history,
            self.history.wakes.feed(),
            MemoryJobs(),
            self.bundles,
            folder,
            f"life-{self.lives}",
            sandbox=self.sandbox,
        )
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(self.forge))
        threads = SandboxThreads(CrashSlots(folder / "intake.slots", 1), 1)
        sender = StatusSender(self.connections, client, now=self.now, dice=self.dice.random)
        reporter = StatusReporter(
            self.history.turns, self.history, self.outbox, "https://ci", lambda _: False
        )
        elapsed = asyncio.get_running_loop().time
        attention = Attention(INTERVAL_S, now=self.now, elapsed=elapsed)
        renames = self._renames(client)
        serving = [
            self._intake(threads, attention, renames).serve(),
            reporter.serve(),
            StatusDelivery(self.outbox.queue, sender, self.outbox, self.untold, self.now).serve(),
            StatusRetelling(self.outbox, self.untold, self.now).serve(),
            self._reconcile(client, attention, renames),
        ]
        return Host(engine, [asyncio.ensure_future(one) for one in serving], client, threads)

    def _intake(self, threads: SandboxThreads, attention: Attention, renames: Renames) -> Intake:
        triggers = self._triggers(threads, attention, renames)
        return Intake([self.inbox.queue], triggers, self.inbox, asyncio.get_running_loop().time)

    async def _die(self, host: Host) -> None:
        broken = await host.kill()
        for feed in list(self.history.wakes._feeds):
            self.history.wakes.end(feed)
        for queue in (self.inbox.queue, self.outbox.queue, self.history.turns):
            queue.die()
        if broken is not None:
            raise broken

    def _triggers(
        self, threads: SandboxThreads, attention: Attention, renames: Renames
    ) -> Triggers:
        source = NamedSource(self.forge, renames.aside, partial(_check, renames))
        prepareds = Prepareds(self.bundles, threads)
        files = PipelineFiles(source, self.bundles, prepareds, self.sandbox, self.now)
        timetables = MemoryTimetables(self.now())
        schedules = Schedules(timetables, self.known, source, files, self.history, shards=4)
        admissions = Admissions(MemoryTrust(), MemoryPulls(), source, now=self.now)
        reruns = ForgeReruns(self.history, self.known, 4)
        people = People(self.history, now=self.now, new_id=lambda: str(self.dice.random()))
        commands = CommentCommands(
            admissions, source, files, self.history, people, reruns, shards=4
        )
        return Triggers(
            renames,
            source,
            files,
            schedules,
            admissions,
            self.history,
            Notices(self.outbox, now=self.now, base_url="https://ci"),
            self.known,
            reruns,
            Heeded(self.hearsay, attention),
            commands,
            ForgeGates(admissions, self.history, people),
            parse=_parse,
            now=self.now,
            shards=4,
        )

    async def _reconcile(
        self, client: httpx2.AsyncClient, attention: Attention, renames: Renames
    ) -> None:
        """As the reconciler serves, but not each second: it is the same looks."""
        loop = asyncio.get_running_loop()
        changes = Changes(self.connections, client, AppTokens(client, self.now), now=self.now)
        lists = ChangeLists(
            changes, self.known.repos, attention, interval_s=INTERVAL_S, elapsed=loop.time
        )
        news = RefNews(
            self.sights,
            self.hearsay,
            self.inbox,
            renames.check,
            missed=lists.doubt,
            grace_s=GRACE_S,
            now=self.now,
            elapsed=loop.time,
        )
        connections: Mapping[str, Connection] = {HUB.id: HUB}
        reconciler = Reconciler(
            self.forge,
            self.forge,
            news,
            self.sights,
            self.known.repos,
            connections,
            attention,
            lists,
            renames,
            interval_s=INTERVAL_S,
            now=self.now,
            elapsed=loop.time,
        )
        while self.reconciles:
            await reconciler.hear()
            for repo in reconciler.due():
                await reconciler.look(repo)
                self.looks += 1
            await asyncio.sleep(LOOK_S)

    async def started(self) -> list[RunStarted]:
        """Every Run there is."""
        found = [await self.history.started(run) for run in self.history.runs()]
        return [one for one in found if one is not None]


def _check(renames: Renames, repo: Repo, within_s: float) -> Repo | Later:
    """See Check. Nothing runs beside the loop here, and what this asks waits for nothing."""
    asked = renames.check(repo, within_s=within_s)
    try:
        asked.send(None)
    except StopIteration as answered:
        told: Repo | Later = answered.value
        return told
    raise AssertionError("this forge answers at once")


def _parse(delivery: Delivery) -> list[ParsedEvent] | Ignored:
    if delivery.event == RECONCILED_EVENT:
        return parse_reconciled(delivery)
    return parse_delivery(delivery)
