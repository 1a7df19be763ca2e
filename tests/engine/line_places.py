"""Places: a line of jobs, in memory and on a real server, with those around it. No tests."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ci_host.adapters.memory.line import MemoryLine
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.jobs import NatsJobs
from ci_host.adapters.nats.line import NatsLine
from ci_host.adapters.nats.stores import NatsCatalog
from ci_host.line_ports import (
    EnvironmentRule,
    JobLimit,
    JobLine,
    OpenLine,
    PoolRule,
    Ticket,
)
from pipelines.ids import JobId
from pipelines.job import JobRequest, JobSpec, Lease, ShellStep, Source
from pipelines.priority import Priority
from runners.link.nats import NatsLink
from runners.ports import Heartbeat
from tests.engine.world import until
from tests.patience import PATIENCE_S
from tests.servers import bus_of, nats_server

RUN = "0-0123456789abcdef0123"
N = TypeVar("N")


def spec_of(name: str, level: str = "normal") -> JobSpec:
    return JobSpec(
        id=f"{RUN}.{name}.1",
        run=RUN,
        key=name,
        attempt=1,
        request=JobRequest(steps=[ShellStep(run="true")], environment="production"),
        source=Source(mirror="", commit=""),
        repo="example",
        repo_id="git/example",
        priority=Priority(level),
    )


def job_of(name: str) -> JobId:
    return JobId(spec_of(name).id)


@dataclass
class Place:
    """A line, and those around it: an engine, a Runner with two slots, an administrator."""

    line: JobLine
    offer: Callable[[JobSpec], Awaitable[None]]
    take: Callable[[], Awaitable[Callable[[], Awaitable[None]]]]
    claim: Callable[[str], Awaitable[None]]
    cancel: Callable[[str], Awaitable[None]]
    beat: Callable[[], Awaitable[None]]
    limit: Callable[[JobLimit], Awaitable[None]]
    rule: Callable[[PoolRule], Awaitable[None]]
    environment: Callable[[EnvironmentRule], Awaitable[None]]
    bus: Bus | None = None


def in_memory() -> Place:
    line = MemoryLine()

    async def offer(spec: JobSpec) -> None:
        line.offer(
            Ticket(
                job=JobId(spec.id),
                key=spec.key,
                pool=spec.request.pool,
                level=spec.priority,
                repo=spec.repo_id,
                repo_name=spec.repo,
                place=0,
                tier=spec.tier,
                environment=spec.request.environment,
                labels=tuple(spec.request.labels),
            )
        )

    async def take() -> Callable[[], Awaitable[None]]:
        place = await until(lambda: min(line.jobs, default=0))

        async def done() -> None:
            line.done(place)

        return done

    async def claim(name: str) -> None:
        line.claim(job_of(name), "runner")

    async def cancel(name: str) -> None:
        line.cancel(job_of(name), "enough")

    async def beat() -> None:
        line.serve({"default": 2})

    async def limit(value: JobLimit) -> None:
        line.limit(value)

    async def rule(value: PoolRule | EnvironmentRule) -> None:
        line.rule(value)

    return Place(line, offer, take, claim, cancel, beat, limit, rule, rule)


async def on_nats(stack: AsyncExitStack, folder: Path) -> Place:
    server = stack.enter_context(nats_server(folder))
    bus = await stack.enter_async_context(bus_of(server))
    link = await NatsLink.connect(server.url, pool="default", name="test")
    stack.push_async_callback(link.close)
    await link.ensure_consumers()
    jobs = NatsJobs(bus)

    async def take() -> Callable[[], Awaitable[None]]:
        while (delivery := await link.next()) is None:
            pass
        return lambda: link.done(delivery.token)

    async def claim(name: str) -> None:
        wish = Lease(job=job_of(name), key=name, runner="runner", started_at=1.0)
        await link.claim(wish)

    async def beat() -> None:
        await link.beat(Heartbeat(runner="runner", pools=["default"], at=1.0, slots=2, version="1"))

    async def limit(value: JobLimit) -> None:
        await NatsCatalog(bus).put_limit(value)

    return Place(
        NatsLine(bus),
        jobs.publish,
        take,
        claim,
        lambda name: jobs.cancel(job_of(name), "enough"),
        beat,
        limit,
        NatsCatalog(bus).put_pool_rule,
        NatsCatalog(bus).put_environment_rule,
        bus,
    )


async def heard(opened: OpenLine, kind: type[N], where: Callable[[N], bool] = lambda _: True) -> N:
    """The next news of a kind."""
    async with asyncio.timeout(PATIENCE_S):
        async for news in opened:
            if isinstance(news, kind) and where(news):
                return news
    raise AssertionError("it has no end")
