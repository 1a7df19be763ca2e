"""Refs: what it costs to look at repositories in which nothing happens.

The real reconciler with git, the message server and HTTP, but not in real time: an hour's looks and
lists are made one after another, and the processor seconds of all of it are counted.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2

from ci_host.adapters.git.origin import Registered
from ci_host.adapters.git.refs import GitRefs
from ci_host.adapters.memory.names import MemoryDeeds, MemoryOwnerSettings
from ci_host.adapters.nats.bus import Bus, connect
from ci_host.adapters.nats.sights import NatsHearsay, NatsSights
from ci_host.adapters.nats.stores import NatsCatalog, NatsInbox
from ci_host.engine.attention import HOT_S, Attention
from ci_host.engine.change_lists import ChangeLists
from ci_host.engine.reconciler import AT_ONCE_MAX, GRACE_S, Reconciler
from ci_host.engine.ref_news import RefNews
from ci_host.engine.renames import Renames
from ci_host.ref_ports import Sight
from ci_host.settings import RECONCILE_S_DEFAULT
from pipelines.repo import Connection, ForgeKind, Repo
from tests.bench import report
from tests.bench.listing_forge import ListingForge
from tests.demo.installation import Installation
from tests.repos import Repo as Checkout
from webhooks.changes import Changes
from webhooks.github.app import AppTokens
from webhooks.inquiry import Inquiry
from webhooks.memory import MemoryConnections
from webhooks.names import ForgeNames

FEW, MANY = 1_000, 4_000
BRANCHES = 10
HOUR, DAY = 3_600.0, 86_400.0
IDLE_DAYS = 90
TICK_S = 1.0
AT_ONCE = 100


def cost() -> None:
    """Bare repositories on this machine, and a forge beside them that lists what changed."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-bench-"))
    folder.chmod(0o711)
    installation = Installation(folder)
    try:
        paths = _repositories(folder)
        installation.start()
        with ListingForge(FEW, time.time() - IDLE_DAYS * DAY) as few:
            _measure("reconcile.cost", installation, paths, FEW, few.url)
        with ListingForge(MANY, time.time() - IDLE_DAYS * DAY) as many:
            _measure("reconcile.cost.4000", installation, paths, MANY, many.url)
        _measure("reconcile.cost.no_list", installation, paths, FEW, "")
        _measure("reconcile.cost.active", installation, paths, FEW, "", is_idle=False)
    finally:
        installation.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _repositories(folder: Path) -> list[Path]:
    made = Checkout(folder)
    made.commit({"README.md": "a repository"})
    for number in range(BRANCHES):
        made.push(f"branch-{number}")
    subprocess.run(["git", "-C", str(made.bare), "pack-refs", "--all"], check=True)
    paths = [folder / "many" / f"{number}.git" for number in range(FEW)]
    for path in paths:
        shutil.copytree(made.bare, path, ignore=shutil.ignore_patterns("hooks"))
    return paths


@dataclass
class _Hour:
    """A clock that is moved on, and what was done in the time that went by."""

    began: float
    time: float = 0.0
    looks: int = 0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.began + self.time

    def elapsed(self) -> float:
        """Of a clock that nobody sets."""
        return self.time


def _measure(
    identity: str,
    installation: Installation,
    paths: list[Path],
    count: int,
    api_url: str,
    *,
    is_idle: bool = True,
) -> None:
    kind = ForgeKind.GITEA if api_url else ForgeKind.GIT
    name = identity.replace(".", "-")
    connection = Connection(id=name, kind=kind, api_url=api_url, token="t" if api_url else "")
    repos = [
        Repo(
            id=f"{name}/{number}",
            connection=name,
            external_id=str(number),
            name=f"acme/{number}",
            clone_url=str(paths[number % len(paths)]),
        )
        for number in range(count)
    ]
    hour = _Hour(time.time())
    spent, looks = asyncio.run(_an_hour(installation, connection, repos, hour, is_idle))
    report.single(
        identity,
        "CPU s",
        spent,
        repos=count,
        branches=BRANCHES,
        interval_s=RECONCILE_S_DEFAULT,
        looks=looks,
        has_list=bool(api_url),
        idle_days=IDLE_DAYS if is_idle else 0,
    )


async def _an_hour(
    installation: Installation,
    connection: Connection,
    repos: list[Repo],
    hour: _Hour,
    is_idle: bool,
) -> tuple[float, int]:
    """Processor seconds of an hour, and how many looks there were."""
    bus = await connect(installation.nats_url(), name="bench")
    client = httpx2.AsyncClient()
    try:
        reconciler, source = _reconciler(bus, client, connection, repos, hour)
        refs = source.refs(repos[0])
        seen = {ref: one.commit for ref, one in refs.items()}
        if is_idle:
            await _seen_long_ago(bus, repos, hour.now(), seen)
        # Everybody is looked at once at the start, and for a while what changed last of all.
        length = HOUR if is_idle else RECONCILE_S_DEFAULT
        await _passing(reconciler, hour, HOT_S if connection.token else RECONCILE_S_DEFAULT)
        hour.looks = 0
        before = _cpu(installation)
        await _passing(reconciler, hour, length)
        times = HOUR / length
        return (_cpu(installation) - before) * times, round(hour.looks * times)
    finally:
        await client.aclose()
        await bus.close()


async def _seen_long_ago(bus: Bus, repos: list[Repo], now: float, refs: dict[str, str]) -> None:
    sights, at = NatsSights(bus), now - IDLE_DAYS * DAY
    for start in range(0, len(repos), AT_ONCE):
        some = repos[start : start + AT_ONCE]
        made = [Sight(repo=one.id, at=at, refs=refs, pulls=True) for one in some]
        await asyncio.gather(*(sights.write(one, after=0) for one in made))


def _reconciler(
    bus: Bus,
    client: httpx2.AsyncClient,
    connection: Connection,
    repos: list[Repo],
    hour: _Hour,
) -> tuple[Reconciler, GitRefs]:
    by_id = {repo.id: repo for repo in repos}
    folder = Path(repos[0].clone_url).parent
    registered = Registered(paths=frozenset({folder}))
    source = GitRefs(folder, lambda _: registered)
    known, apps = MemoryConnections(connection), AppTokens(client, hour.now)
    attention = Attention(RECONCILE_S_DEFAULT, now=hour.now, elapsed=hour.elapsed)
    lists = ChangeLists(
        Changes(known, client, apps, now=hour.now),
        by_id,
        attention,
        interval_s=RECONCILE_S_DEFAULT,
        elapsed=hour.elapsed,
    )
    renames = _renames(bus, known, client, hour)
    news = RefNews(
        NatsSights(bus),
        NatsHearsay(bus),
        NatsInbox(bus),
        renames.check,
        grace_s=GRACE_S,
        now=hour.now,
        elapsed=hour.elapsed,
    )
    reconciler = Reconciler(
        source,
        Inquiry(known, client, apps, now=hour.now),
        news,
        NatsSights(bus),
        by_id,
        {connection.id: connection},
        attention,
        lists,
        renames,
        interval_s=RECONCILE_S_DEFAULT,
        now=hour.now,
        elapsed=hour.elapsed,
    )
    return reconciler, source


def _renames(
    bus: Bus, known: MemoryConnections, client: httpx2.AsyncClient, hour: _Hour
) -> Renames:
    apps = AppTokens(client, hour.now)
    return Renames(
        ForgeNames(known, client, apps, now=hour.now),
        NatsCatalog(bus),
        MemoryOwnerSettings(),
        MemoryDeeds(),
        now=hour.now,
        elapsed=hour.elapsed,
    )


async def _passing(reconciler: Reconciler, hour: _Hour, seconds: float) -> None:
    """As it serves, second by second."""
    end = hour.time + seconds
    while hour.time < end:
        await reconciler.hear()
        due = reconciler.due()
        hour.looks += len(due)
        for start in range(0, len(due), AT_ONCE_MAX):
            await asyncio.gather(*map(reconciler.look, due[start : start + AT_ONCE_MAX]))
        hour.time += TICK_S


def _cpu(installation: Installation) -> float:
    """Of this process, of git's that it started, and of the message server."""
    ours = os.times()
    pid = installation.pids()["nats-server"]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    server = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return ours.user + ours.system + ours.children_user + ours.children_system + server
