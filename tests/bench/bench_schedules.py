"""Schedules: a start with a hundred thousand of them registered."""

import asyncio
import os
import signal
import time
from functools import cache

import msgspec

from ci_host.adapters.nats.stores import NatsCatalog
from ci_host.adapters.nats.timetables import NatsTimetables
from ci_host.engine.calendar import CronCalendar
from ci_host.running import read_state
from pipelines.ids import SHARDS_DEFAULT, RunId
from pipelines.repo import Repo
from pipelines.schedule import Entry, Schedule, Timetable, run_due
from tests.bench import plans, report
from tests.bench.bench_installed import Bench
from tests.bench.pushing import BenchRepo, signed

SCHEDULES = 100_000
# The dearest way to have so many: a Repo, a Timetable and an alarm for each.
REPOS = 100_000
AT_ONCE = 64
FAR = "{minute} {hour} 29 2 *"


async def start(bench: Bench) -> None:
    """Kill -9 of everything, until the host answers, and until what fell due meanwhile is begun."""
    due_repo = await _one_that_falls_due(bench)
    took = await _register(bench)
    engine = read_state(bench.installation.data)
    assert engine is not None
    # So that nobody sees to it before everything is dead.
    os.kill(engine.processes["engine-0"], signal.SIGSTOP)
    run = await _fall_due(bench, due_repo)
    await bench.bus.close()
    bench.installation.kill()
    began = time.perf_counter()
    await asyncio.to_thread(bench.installation.start)
    ready = time.perf_counter() - began
    bench.state = read_state(bench.installation.data)
    await bench.open()
    while await bench.history.started(run) is None:
        await asyncio.sleep(0.005)
    begun = time.perf_counter() - began
    settings = {"schedules": SCHEDULES, "repos": REPOS, "killed": "all processes"}
    report.single("schedules.start", "s", ready, **settings, first_due_run_s=round(begun, 3))
    writes = 3 * REPOS / took
    report.single("schedules.register", "writes/s", writes, repos=REPOS, took_s=round(took, 1))


async def _one_that_falls_due(bench: Bench) -> Repo:
    """A real repository with a schedule, as a push registers it."""
    repo = await BenchRepo.make(bench.installation, bench.folder / "due", plans.SCHEDULED)
    headers, body = signed(repo, [("0" * 40, repo.head, "refs/heads/main")])
    answer = await bench.http.post(repo.path, content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    found = next(r for r in await NatsCatalog(bench.bus).repos() if r.name == repo.name)
    store = NatsTimetables(bench.bus)
    while not (await store.read(found.id))[1].entries:
        await asyncio.sleep(0.02)
    return found


async def _fall_due(bench: Bench, repo: Repo) -> RunId:
    """As if it were due every minute, and this minute's alarm had just rung; its Run's id."""
    store = NatsTimetables(bench.bus)
    revision, table = await store.read(repo.id)
    (entry,) = table.entries
    due = time.time() // 60 * 60
    schedule = msgspec.structs.replace(entry.schedule, cron="* * * * *")
    entry = msgspec.structs.replace(entry, schedule=schedule, after=due - 1, next=due)
    await store.write(table.with_entry(entry), after=revision)
    await store.arm(repo.id, due)
    return run_due(repo.id, entry, due, shards=SHARDS_DEFAULT)


async def _register(bench: Bench) -> float:
    """Timetables, alarms and Repos by the real adapters; how long it took, in seconds."""
    store, catalog = NatsTimetables(bench.bus), NatsCatalog(bench.bus)
    now, numbers = time.time(), iter(range(REPOS))

    async def some() -> None:
        for number in numbers:
            repo = Repo(
                id=f"many/{number}",
                connection="many",
                external_id=str(number),
                name=f"many/{number}",
                clone_url="/",
            )
            table = _table(repo.id, number, now)
            assert table.next is not None
            await catalog.put_repo(repo)
            await store.write(table, after=0)
            await store.arm(repo.id, table.next)

    began = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return time.perf_counter() - began


@cache
def _due(schedule: Schedule, now: float) -> float | None:
    return CronCalendar().next_due(schedule, now)


def _table(repo: str, number: int, now: float) -> Timetable:
    entries = []
    for index in range(SCHEDULES // REPOS):
        cron = FAR.format(minute=number % 60, hour=index % 24)
        schedule = Schedule(name=f"n{index}", cron=cron, tz="Europe/Berlin")
        entries.append(
            Entry(
                pipeline="p",
                file=".staunch/p.py",
                schedule=schedule,
                after=now,
                next=_due(schedule, now),
            )
        )
    return Timetable(
        repo=repo,
        ref="refs/heads/main",
        commit="a" * 40,
        bundle="b" * 64,
        entries=entries,
    )
