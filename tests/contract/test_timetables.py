"""Every store of timetables keeps the same promises, and so do its alarms."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from ci_host.adapters.memory.timetables import MemoryTimetables
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.timetables import NatsTimetables, rings
from ci_host.ports import Conflict, Owed, Queue, Timetables
from pipelines.schedule import Alarm, Entry, Ring, RunNow, Schedule, Timetable
from tests.patience import PATIENCE_S
from tests.servers import bus_of, nats_server

pytestmark = pytest.mark.anyio

REPO = "git/a repo, with * and > in it"
ENTRY = Entry(
    pipeline="pipeline",
    file=".staunch/pipeline.py",
    schedule=Schedule(name="nightly", cron="0 3 * * *", tz="Europe/Berlin"),
    after=1.0,
    next=2.0,
)
TABLE = Timetable(repo=REPO, ref="refs/heads/main", commit="a" * 40, bundle="b", entries=[ENTRY])
WISH = RunNow(repo=REPO, pipeline="pipeline", name="nightly", at=1.0, by="ada", key="k")


@dataclass
class Place:
    """A store, what rings there, and how its time passes."""

    store: Timetables
    queue: Queue[Ring]
    now: Callable[[], float]
    pass_to: Callable[[float], Awaitable[None]]

    async def rung(self, count: int) -> list[Owed[Ring]]:
        """The next that ring."""
        found: list[Owed[Ring]] = []
        async with asyncio.timeout(PATIENCE_S):
            async for owed in self.queue:
                found.append(owed)
                if len(found) == count:
                    return found
        raise AssertionError("a queue has no end")


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "memory":
        memory = MemoryTimetables()

        async def move(to: float) -> None:
            memory.move(to)

        yield Place(memory, memory.rings, lambda: memory.time, move)
        return
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:

            async def wait(to: float) -> None:
                """The server's clock is the real one."""

            yield Place(NatsTimetables(bus), rings(bus), time.time, wait)


async def test_a_repo_without_schedules_has_an_empty_timetable(place):
    assert await place.store.read(REPO) == (0, Timetable(repo=REPO))


async def test_what_was_written_is_read_with_its_revision(place):
    first = await place.store.write(TABLE, after=0)
    assert await place.store.read(REPO) == (first, TABLE)
    empty = Timetable(repo=REPO)
    second = await place.store.write(empty, after=first)
    assert await place.store.read(REPO) == (second, empty)
    assert await place.store.read("git/other") == (0, Timetable(repo="git/other"))


async def test_whoever_read_an_older_one_does_not_write(place):
    first = await place.store.write(TABLE, after=0)
    with pytest.raises(Conflict):
        await place.store.write(TABLE, after=0)
    second = await place.store.write(Timetable(repo=REPO), after=first)
    with pytest.raises(Conflict):
        await place.store.write(TABLE, after=first)
    assert (await place.store.read(REPO))[0] == second


async def test_an_alarm_rings_when_it_is_due_and_not_before(place):
    due = place.now() + 1.5
    await place.store.arm(REPO, due)
    task = asyncio.create_task(place.rung(1))
    await place.pass_to(due - 0.1)
    await asyncio.sleep(0)
    assert not task.done()
    await place.pass_to(due)
    (owed,) = await task
    assert owed.item == Alarm(repo=REPO, due=due)
    assert place.now() >= due


async def test_a_past_due_rings_at_once_and_can_be_armed_again_and_again(place):
    for back in (3.0, 2.0, 3.0):
        due = place.now() - back
        await place.store.arm(REPO, due)
        (owed,) = await place.rung(1)
        assert owed.item == Alarm(repo=REPO, due=due)
        await owed.done()


async def test_a_newer_wish_replaces_the_older_one(place):
    early = place.now() + 2.0
    await place.store.arm(REPO, early)
    await place.store.arm(REPO, early + 900.0)
    other = early + 0.5
    await place.store.arm("git/other", other)
    await place.pass_to(other)
    (only,) = await place.rung(1)
    assert only.item == Alarm(repo="git/other", due=other)


async def test_a_wish_that_was_taken_back_does_not_ring(place):
    wish = place.now() + 2.0
    await place.store.arm(REPO, wish)
    await place.store.disarm(REPO)
    await place.store.disarm("git/never")
    due = wish + 0.5
    await place.store.arm("git/other", due)
    await place.pass_to(due)
    (only,) = await place.rung(1)
    assert only.item == Alarm(repo="git/other", due=due)


async def test_its_time_is_that_by_which_alarms_ring(place):
    before = place.now()
    told = await place.store.now()
    assert before - 1 <= told <= place.now() + 1


async def test_what_is_asked_for_rings_at_once(place):
    await place.store.ask(WISH)
    (owed,) = await place.rung(1)
    assert owed.item == WISH


@pytest.mark.parametrize("key", [" k", "k\r\nNats-Rollup: all", "k:", "\0"])
async def test_a_persons_key_is_any_text_and_only_the_same_is_the_same(place, key):
    due = place.now() - 1.0
    for wish in (WISH, msgspec.structs.replace(WISH, key=key)):
        await place.store.ask(wish)
    await place.store.arm("git/other", due)
    rung = [owed.item for owed in await place.rung(3)]
    assert rung == [WISH, msgspec.structs.replace(WISH, key=key), Alarm(repo="git/other", due=due)]


async def test_what_is_not_done_comes_again(place):
    await place.store.ask(WISH)
    seen: list[tuple[Ring, int]] = []
    async with asyncio.timeout(PATIENCE_S):
        async for owed in place.queue:
            seen.append((owed.item, owed.times))
            if len(seen) == 2:
                break
            await owed.later(0.01)
    assert seen == [(WISH, 1), (WISH, 2)]


@pytest.mark.nats
async def test_alarms_and_timetables_outlive_a_server_that_was_killed(tmp_path):
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            store = NatsTimetables(bus)
            revision = await store.write(TABLE, after=0)
            due = time.time() + 1.0
            await store.arm(REPO, due)
            server.kill()
    while time.time() < due:
        await asyncio.sleep(0.05)
    with nats_server(tmp_path) as server:
        async with bus_of(server, streams=False) as bus:
            assert await NatsTimetables(bus).read(REPO) == (revision, TABLE)
            async with asyncio.timeout(PATIENCE_S):
                async for owed in rings(bus):
                    assert owed.item == Alarm(repo=REPO, due=due)
                    break


@pytest.mark.nats
async def test_timetables_are_listed_in_pages_without_the_empty_ones(tmp_path):
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            store = NatsTimetables(bus)
            names = [f"git/{number}" for number in range(7)]
            await bus.publish(subjects.schedules("git/bent"), b'{"repo": 3}')
            for name in names:
                entries = [] if name == "git/3" else [ENTRY]
                await store.write(Timetable(repo=name, entries=entries), after=0)
            found: list[str] = []
            after: int | None = 0
            while after is not None:
                page = await store.page(after, 3)
                found += [table.repo for table in page.tables]
                after = page.next
            assert found == [name for name in names if name != "git/3"]
