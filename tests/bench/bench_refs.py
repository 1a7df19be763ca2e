"""Refs: what it costs to look at repositories in which nothing happens."""

import asyncio
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus, connect
from ci_host.adapters.nats.stores import NatsCatalog
from ci_host.settings import RECONCILE_S_DEFAULT
from pipelines.repo import Connection, ForgeKind, Repo
from tests.bench import report
from tests.demo.installation import Installation
from tests.repos import Repo as Checkout

REPOS = 1_000
BRANCHES = 10
# Each is looked at once in it, as in the default interval, only sooner.
INTERVAL_S = 60.0
SETTLE_S = 5.0
IDLE_S = 20.0
TICKS_A_SECOND = 100


def cost() -> None:
    """A real `staunch up` with a thousand bare repositories on the same machine."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-bench-"))
    folder.chmod(0o711)
    installation = Installation(folder, "--reconcile-s", str(INTERVAL_S))
    try:
        repos = _repos(folder)
        installation.start()
        asyncio.run(_measure(installation, repos))
    finally:
        installation.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _repos(folder: Path) -> list[Repo]:
    made = Checkout(folder)
    made.commit({"README.md": "a repository"})
    for number in range(BRANCHES):
        made.push(f"branch-{number}")
    subprocess.run(["git", "-C", str(made.bare), "pack-refs", "--all"], check=True)
    found = []
    for number in range(REPOS):
        path = folder / "many" / f"{number}.git"
        shutil.copytree(made.bare, path, ignore=shutil.ignore_patterns("hooks"))
        found.append(
            Repo(
                id=f"many/{number}",
                connection="many",
                external_id=str(number),
                name=f"many/{number}",
                clone_url=str(path),
            )
        )
    return found


async def _measure(installation: Installation, repos: list[Repo]) -> None:
    bus = await connect(installation.nats_url(), name="bench")
    try:
        await asyncio.sleep(SETTLE_S)
        idle = await _spent(installation, IDLE_S) / IDLE_S
        catalog = NatsCatalog(bus)
        await catalog.put_connection(Connection(id="many", kind=ForgeKind.GIT))
        for repo in repos:
            await catalog.put_repo(repo)
        await _seen(bus, len(repos))
        await asyncio.sleep(SETTLE_S)
        spent = await _spent(installation, INTERVAL_S) - idle * INTERVAL_S
    finally:
        await bus.close()
    an_hour = spent * 3_600.0 / RECONCILE_S_DEFAULT
    report.single(
        "reconcile.cost",
        "CPU s",
        an_hour,
        repos=REPOS,
        branches=BRANCHES,
        interval_s=RECONCILE_S_DEFAULT,
        measured_interval_s=INTERVAL_S,
        cpu_ms_a_look=round(spent / REPOS * 1_000, 2),
        cpu_percent_idle=round(idle * 100, 1),
    )


async def _seen(bus: Bus, count: int) -> None:
    """Until so many have been looked at."""
    while (await bus.js.stream_info(subjects.SIGHTS)).state.messages < count:
        await asyncio.sleep(0.2)


async def _spent(installation: Installation, seconds: float) -> float:
    """Processor seconds of all its processes, and of those that they started and that ended."""
    before, began = _cpu(installation), time.perf_counter()
    await asyncio.sleep(seconds - (time.perf_counter() - began))
    return _cpu(installation) - before


def _cpu(installation: Installation) -> float:
    total = 0
    for pid in installation.pids().values():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(field) for field in fields[11:15])
    return total / TICKS_A_SECOND
