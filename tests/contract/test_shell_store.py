"""Every store of terminals' records keeps the same promises."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from ci_host.adapters.memory.shells import MemoryShells
from ci_host.adapters.nats.shells import NatsShells
from ci_host.shell_ports import ShellStore
from pipelines import shell
from pipelines.ids import JobId, RunId
from pipelines.job import Lease
from pipelines.shell import Session, Standby
from tests.servers import bus_of, nats_server

pytestmark = pytest.mark.anyio

RUN, OTHER = RunId("0-0123456789abcdef0123"), RunId("0-0123456789abcdef9999")
JOB = JobId(f"{RUN}.step.1")
STANDBY = Standby(job=JOB, runner="r", step="s", exit_code=1, since=1.0, until=2.0)
SESSION = Session(id="b", job=JOB, by="ada", opened_at=5.0)


@dataclass
class Kept:
    """A store, and what a runner writes beside it."""

    store: ShellStore
    hold: Callable[[str, str], Awaitable[None]]
    tell: Callable[[Standby], Awaitable[None]]


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    if request.param == "memory":
        memory = MemoryShells()

        async def note(job: str, runner: str) -> None:
            memory.holders[job] = runner

        async def tell(standby: Standby) -> None:
            memory.told[standby.job] = standby

        yield Kept(memory, note, tell)
        return
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:

            async def hold(job: str, runner: str) -> None:
                lease = Lease(job=job, key="step", runner=runner, started_at=0.0)
                await bus.publish(f"lease.{job}", msgspec.json.encode(lease))

            async def publish(standby: Standby) -> None:
                await bus.publish(shell.state(standby.job), msgspec.json.encode(standby))

            yield Kept(NatsShells(bus), hold, publish)


async def test_a_job_of_which_nobody_said_anything_waits_for_nobody(kept: Kept) -> None:
    assert await kept.store.standing_by(JOB) is None
    await kept.hold(JOB, "r")
    assert await kept.store.standing_by(JOB) is None
    assert (await kept.store.of_run(RUN)).standing_by == {}


async def test_only_the_holder_of_a_job_is_believed(kept: Kept) -> None:
    await kept.tell(STANDBY)
    assert await kept.store.standing_by(JOB) is None
    await kept.hold(JOB, "r")
    assert await kept.store.standing_by(JOB) == STANDBY
    await kept.tell(structs.replace(STANDBY, runner="another"))
    assert await kept.store.standing_by(JOB) is None


async def test_a_session_is_replaced_by_its_end_and_shown_in_order(kept: Kept) -> None:
    earlier = structs.replace(SESSION, id="c", opened_at=1.0)
    elsewhere = structs.replace(SESSION, id="d", job=f"{OTHER}.step.1")
    for one in (SESSION, earlier, elsewhere):
        await kept.store.keep(one)
    closed = structs.replace(SESSION, closed_at=9.0, why="left")
    await kept.store.keep(closed)
    await kept.tell(STANDBY)
    found = await kept.store.of_run(RUN)
    assert found.sessions == [earlier, closed]
    assert list(found.standing_by) == [JOB]
