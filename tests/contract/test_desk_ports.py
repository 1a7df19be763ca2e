"""Registrations and the desk's bus: what is in memory keeps the promises of what is on the bus."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from ci_host.adapters.memory.desk import MemoryDeskBus, MemoryRegistrations
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.desk_bus import NatsDeskBus
from ci_host.adapters.nats.registrations import NatsRegistrations
from ci_host.desk_ports import DeskBus, RegistrationStore
from ci_host.ports import Conflict
from ci_host.registration import Registration
from pipelines.cache import Entry
from pipelines.desk import BeatAsked, LogEnd, Settling
from pipelines.job import CancelJob, JobSpec, Lease, LogChunk
from tests.contract.test_job_queue import spec_of
from tests.engine.world import until
from tests.servers import bus_of, nats_server

pytestmark = pytest.mark.anyio

JOB = spec_of("a").id


def registration(name: str = "far-1", **more: object) -> Registration:
    """One that was invited."""
    facts = {"invitation": "U", "invited_until": 1.0, "invited_by": "ada", "invited_at": 0.5}
    return Registration(id=name, pool="far", **{**facts, **more})


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RegistrationStore]:
    if request.param == "memory":
        yield MemoryRegistrations()
        return
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            yield NatsRegistrations(bus)


async def test_a_registration_is_found_by_its_name_and_among_all(store: RegistrationStore) -> None:
    for name in ("far-1", "far-2"):
        await store.write(registration(name), after=0)
    kept = await store.find("far-1")
    assert kept is not None and kept.registration == registration("far-1")
    assert await store.find("far-3") is None
    assert {one.registration.id for one in await store.all()} == {"far-1", "far-2"}


async def test_whoever_read_an_older_registration_does_not_write(store: RegistrationStore) -> None:
    await store.write(registration(), after=0)
    with pytest.raises(Conflict):
        await store.write(registration(), after=0)
    kept = await store.find("far-1")
    assert kept is not None
    await store.write(registration(key="UX"), after=kept.revision)
    with pytest.raises(Conflict):
        await store.write(registration(key="UY"), after=kept.revision)


@dataclass
class DeskWorld:
    """A desk's bus, and how a job comes to a runner: `delivered` answers the token."""

    bus: DeskBus
    delivered: Callable[[JobSpec], Awaitable[str]]
    left: Callable[[], Awaitable[int]]


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DeskWorld]:
    if request.param == "memory":
        memory = MemoryDeskBus(lambda: 1.0)

        async def offered(spec: JobSpec) -> str:
            return memory.offer(spec)

        async def left() -> int:
            return len(memory.queue)

        yield DeskWorld(memory, offered, left)
        return
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            yield await nats_world(bus)


async def nats_world(bus: Bus) -> DeskWorld:
    """With the real queue."""
    desk_bus = NatsDeskBus(bus, lambda: 1.0)

    async def delivered(spec: JobSpec) -> str:
        pool = spec.request.pool
        await desk_bus.prepare(pool)
        queue = subjects.job_queue(pool, spec.priority)
        await bus.publish(queue, msgspec.json.encode(spec))
        pulled = await bus.js.pull_subscribe_bind(f"runners-{pool}", "JOBS")
        [message] = await pulled.fetch(1)
        return str(message.reply)

    async def left() -> int:
        return int((await bus.js.stream_info("JOBS")).state.messages)

    return DeskWorld(desk_bus, delivered, left)


async def test_what_was_delivered_is_known_by_its_token_to_its_own_pool(world: DeskWorld) -> None:
    spec = spec_of("a")
    token = await world.delivered(spec)
    assert await world.bus.offered(token, "default") == spec
    assert await world.bus.offered(token, "another") is None
    for nonsense in ("", "x", "a.b.c.d.e.f.g.h.i", "$JS.ACK.JOBS.*.1.1.1.1.1"):
        assert await world.bus.offered(nonsense, "default") is None


async def test_what_is_done_is_off_the_queue_and_known_no_more(world: DeskWorld) -> None:
    token = await world.delivered(spec_of("a"))
    await world.bus.settle(token, Settling.HOLD, 0.0)
    assert await world.left() == 1
    await world.bus.settle(token, Settling.DONE, 0.0)

    async def is_gone() -> bool:
        return await world.left() == 0

    await until(is_gone)
    assert await world.bus.offered(token, "default") is None


async def test_the_first_lease_stays(world: DeskWorld) -> None:
    first = Lease(job=JOB, key="a", runner="r1", started_at=1.0)
    second = Lease(job=JOB, key="a", runner="r2", started_at=2.0)
    assert await world.bus.lease(JOB) is None
    assert await world.bus.claim(first) == first
    assert await world.bus.claim(second) == first
    assert await world.bus.lease(JOB) == first


async def test_a_sign_of_life_is_heard(world: DeskWorld) -> None:
    assert await world.bus.heard_at("r1") is None
    await world.bus.beat("r1", "far", BeatAsked(slots=2, version="1"))
    assert await world.bus.heard_at("r1") is not None
    await world.bus.forget("r1")
    assert await world.bus.heard_at("r1") is None


async def test_a_wish_is_found(world: DeskWorld) -> None:
    wish = CancelJob(job=JOB, reason="because")
    assert await world.bus.cancel_of(JOB) is None
    await world.bus.cancel(wish)
    assert await world.bus.cancel_of(JOB) == wish


async def test_a_log_grows_only_at_its_end(world: DeskWorld) -> None:
    assert await world.bus.log_end(JOB) == LogEnd()
    first = await world.bus.append(JOB, LogChunk(offset=0, size=3, at=0.0, text="one"), 0)
    with pytest.raises(Conflict):
        await world.bus.append(JOB, LogChunk(offset=0, size=3, at=0.0, text="one"), 0)
    assert await world.bus.log_end(JOB) == LogEnd(sequence=first, offset=3)
    kept = LogChunk(offset=3, size=0, at=0.0, text="", kept="d")
    last = await world.bus.append(JOB, kept, first)
    assert await world.bus.log_end(JOB) == LogEnd(sequence=last, offset=3, is_kept=True)


async def test_the_newest_cache_that_matches_is_found(world: DeskWorld) -> None:
    def entry(size: int) -> Entry:
        return Entry(digest="0" * 64, size=size, files=1, at=0.0, job=JOB)

    assert await world.bus.newest("cache.trusted.r.b.c.*") is None
    await world.bus.keep("cache.trusted.r.b.c.one", entry(1))
    await world.bus.keep("cache.trusted.r.b.c.two", entry(2))
    assert await world.bus.newest("cache.trusted.r.b.c.*") == entry(2)
    assert await world.bus.newest("cache.trusted.r.b.c.one") == entry(1)
