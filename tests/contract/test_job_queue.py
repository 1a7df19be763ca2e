"""Every job queue hands out the most important first; what nobody waits for any more is not lost.

Onto the real one jobs are put as the host releases them.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from pipelines.job import JobRequest, JobSpec, ShellStep, Source
from pipelines.priority import LEVELS, Priority
from runners.link.nats import ACK_WAIT_S, NatsLink, consumer_of
from runners.memory import MemoryLink
from runners.ports import JobQueue
from tests.engine.world import until
from tests.servers import bus_of, nats_server

pytestmark = pytest.mark.anyio

# What is owed comes again by itself after the server's wait; nothing here may depend on that.
SOON_S = ACK_WAIT_S * 0.9
RUN = "0-0123456789abcdef0123"


def spec_of(name: str, level: str = "normal", pool: str = "default") -> JobSpec:
    return JobSpec(
        id=f"{RUN}.{name}.1",
        run=RUN,
        key=name,
        attempt=1,
        request=JobRequest(steps=[ShellStep(run="true")], pool=pool),
        source=Source(mirror="", commit=""),
        repo="example",
        priority=Priority(level),
    )


@dataclass(frozen=True)
class Queues:
    """One queue of jobs, and any number of agents at it."""

    offer: Callable[[JobSpec], Awaitable[None]]
    agent: Callable[[], Awaitable[JobQueue]]
    bus: Bus | None = None


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def queues(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Queues]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield memory_queues()
        else:
            yield await nats_queues(stack, tmp_path)


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[Queues]:
    async with AsyncExitStack() as stack:
        yield await nats_queues(stack, tmp_path)


def memory_queues() -> Queues:
    link = MemoryLink()

    async def offer(spec: JobSpec) -> None:
        link.offer(spec)

    async def agent() -> JobQueue:
        return link

    return Queues(offer, agent)


async def nats_queues(stack: AsyncExitStack, folder: Path) -> Queues:
    server = stack.enter_context(nats_server(folder))
    bus = await stack.enter_async_context(bus_of(server))

    async def agent() -> JobQueue:
        link = await NatsLink.connect(server.url, pool="default", name="test")
        stack.push_async_callback(link.close)
        await link.ensure_consumers()
        return link

    async def offer(spec: JobSpec) -> None:
        subject = subjects.job_queue(spec.request.pool, spec.priority)
        await bus.publish(subject, msgspec.json.encode(spec))

    return Queues(offer, agent, bus)


async def asked(queues: Queues, count: int = 1) -> None:
    """Until so many slots wait at every level."""

    async def waits(level: Priority) -> bool:
        assert queues.bus is not None
        consumer = await queues.bus.js.consumer_info("JOBS", consumer_of("default", level))
        return (consumer.num_waiting or 0) >= count

    for level in LEVELS if queues.bus is not None else ():
        await until(lambda level=level: waits(level))


@asynccontextmanager
async def given_back(queues: Queues, count: int) -> AsyncIterator[None]:
    """Ends when the server has seen so many jobs come back."""
    if queues.bus is None:
        yield
        return
    naked = await queues.bus.client.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.JOBS.*")
    yield
    for _ in range(count):
        await naked.next_msg(timeout=SOON_S)


async def taken(agent: JobQueue) -> str:
    """The name of the next job; it is taken off the queue."""
    async with asyncio.timeout(SOON_S):
        while (delivery := await agent.next()) is None:
            pass
        await agent.done(delivery.token)
        return delivery.spec.key


async def test_the_most_important_is_taken_first_and_among_equals_the_oldest(
    queues: Queues,
) -> None:
    agent = await queues.agent()
    offered = ["low", "normal", "low", "high", "urgent", "normal", "high", "low", "urgent"]
    for number, level in enumerate(offered):
        await queues.offer(spec_of(f"{level}-{number}", level))
    names = [await taken(agent) for _ in offered]
    assert names == [
        f"{level}-{n}" for level in LEVELS for n, one in enumerate(offered) if one == level
    ]


async def test_with_one_slot_a_later_important_one_is_taken_before_a_queue_of_others(
    queues: Queues,
) -> None:
    agent = await queues.agent()
    waiting = asyncio.create_task(taken(agent))
    await asked(queues)
    await queues.offer(spec_of("first", "low"))
    assert await waiting == "first"
    # The slot is at work now; what it had asked for besides brings two of these, and they go back.
    async with given_back(queues, 2):
        for number in range(3):
            await queues.offer(spec_of(f"low-{number}", "low"))
        await queues.offer(spec_of("normal"))
        await queues.offer(spec_of("high", "high"))
    names = [await taken(agent) for _ in range(5)]
    assert names == ["high", "normal", "low-0", "low-1", "low-2"]


@pytest.mark.parametrize("level", LEVELS)
async def test_a_slot_that_waits_takes_whatever_comes(queues: Queues, level: str) -> None:
    agent = await queues.agent()
    waiting = asyncio.create_task(taken(agent))
    await asked(queues)
    await queues.offer(spec_of("late", level))
    assert await waiting == "late"


async def test_slots_that_wait_together_take_every_job_once(queues: Queues) -> None:
    agent = await queues.agent()
    dice = random.Random(7)
    names = [f"job-{number}" for number in range(60)]
    slots = [asyncio.create_task(_all(agent, 15)) for _ in range(4)]
    for name in names:
        await queues.offer(spec_of(name, dice.choice(LEVELS)))
    found = [name for slot in slots for name in await slot]
    assert sorted(found) == sorted(names)


async def _all(agent: JobQueue, count: int) -> list[str]:
    return [await taken(agent) for _ in range(count)]


@pytest.mark.nats
async def test_jobs_that_an_older_release_queued_are_taken(real: Queues) -> None:
    assert real.bus is not None
    body = msgspec.to_builtins(spec_of("old"))
    del body["priority"]
    await real.bus.publish("jobs.default", msgspec.json.encode(body), {})
    assert await taken(await real.agent()) == "old"


@pytest.mark.nats
async def test_an_agent_that_is_released_takes_nothing_and_loses_nothing(real: Queues) -> None:
    idle, other = await real.agent(), await real.agent()
    waits = [asyncio.create_task(idle.next()) for _ in range(3)]
    await asked(real, 3)
    offers = [real.offer(spec_of(f"{level}-{n}", level)) for n in range(5) for level in LEVELS]
    releasing = asyncio.create_task(idle.release())
    await asyncio.gather(*offers)
    await releasing
    assert await idle.next() is None
    kept = [delivery for wait in waits if (delivery := await wait) is not None]
    names = {await taken(other) for _ in range(len(offers) - len(kept))}
    assert len(names) + len(kept) == len(offers)
    assert names.isdisjoint(delivery.spec.key for delivery in kept)


@pytest.mark.nats
async def test_a_wait_that_is_cancelled_at_any_moment_gives_back_what_it_had(real: Queues) -> None:
    hasty, other = await real.agent(), await real.agent()
    dice = random.Random(3)
    for number in range(40):
        waiting = asyncio.create_task(hasty.next())
        offering = asyncio.create_task(real.offer(spec_of(f"job-{number}", dice.choice(LEVELS))))
        for _ in range(dice.randrange(200)):
            await asyncio.sleep(0)
        waiting.cancel()
        (got,) = await asyncio.gather(waiting, return_exceptions=True)
        await offering
        if got is None or isinstance(got, BaseException):
            assert await taken(other) == f"job-{number}"
        else:
            await hasty.done(got.token)


@pytest.mark.nats
async def test_a_wait_that_is_cancelled_when_its_job_has_just_come_gives_it_back(
    real: Queues,
) -> None:
    hasty, other = await real.agent(), await real.agent()
    assert isinstance(hasty, NatsLink)
    waiting = asyncio.create_task(hasty.next())
    await asked(real)
    (waiter,) = hasty._pulls._waiting
    await real.offer(spec_of("job"))
    # No pause between two looks: it must be met before its task goes on.
    while not waiter.done():
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await taken(other) == "job"


@pytest.mark.nats
async def test_a_pool_is_not_taken_for_a_level_of_another(real: Queues) -> None:
    await real.offer(spec_of("other", "high", pool="default-high"))
    await real.offer(spec_of("mine", "high"))
    agent = await real.agent()
    assert await taken(agent) == "mine"
    waiting = asyncio.create_task(taken(agent))
    await real.offer(spec_of("last"))
    assert await waiting == "last"
