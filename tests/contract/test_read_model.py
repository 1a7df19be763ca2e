"""The read model is only a view: thrown away and folded anew, it says the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, SQLModel, select

from ci_host.adapters.memory.world import MemoryBundles, MemoryJobs
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus, expected
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.marks import mark_start
from ci_host.adapters.nats.stores import NatsInbox, NatsOutcomes
from ci_host.adapters.nats.wakeups import NatsWakeUps
from ci_host.adapters.sql import tables
from ci_host.adapters.sql.read_model import Change, ReadModel
from ci_host.projector import Projector
from pipelines.events import GateAnswered
from pipelines.ids import RunId, StepKey, job_id
from pipelines.job import Lease
from pipelines.repo import Delivery, DeliveryOutcome, ForgeKind
from tests.engine.world import Engine, begin, ended, finished, until
from tests.servers import SHARDS, bus_of, nats_server

pytestmark = [pytest.mark.anyio, pytest.mark.nats]

PLAN = """
async def run(event, step):
    await step.do("count", lambda: 3)
    await step.job("build", run="make")
    await step.gate("ship", approvers=["ada"])
"""


def dump(model: ReadModel) -> dict[str, list[str]]:
    """Every row of every table, but the cursors."""
    with Session(model.engine) as session:
        return {
            kind.__tablename__: sorted(row.model_dump_json() for row in session.exec(select(kind)))
            for kind in SQLModel.__subclasses__()
            if kind.__module__ == tables.__name__ and kind is not tables.CursorRow
        }


async def something_happens(bus: Bus, folder: Path) -> RunId:
    """A Run with every kind of step, its Job claimed by a Runner, and a delivery behind it."""
    history, bundles, jobs = NatsHistory(bus, "life-1"), MemoryBundles(), MemoryJobs()
    wakes = NatsWakeUps(bus, list(range(SHARDS)))
    engine = Engine(history, wakes, jobs, bundles, folder, "life-1")
    await wakes.start()
    run = await begin(history, bundles, PLAN)
    await until(lambda: jobs.offers)
    identity = job_id(run, StepKey("build"), 1)
    lease = Lease(job=identity, key="build", runner="r1", started_at=5.0)
    await bus.publish(subjects.lease(identity), msgspec.json.encode(lease), expected(0))
    await history.append_input(run, finished(run, "build"))
    await history.append_input(run, GateAnswered(id="g", key="ship", approved=True, by="ada"))
    await ended(history, run)
    delivery = Delivery(
        connection="git", id="d1", kind=ForgeKind.GIT, event="push", received_at=1.0, body="{}"
    )
    await NatsInbox(bus).record(delivery)
    outcome = DeliveryOutcome(connection="git", id="d1", state="started", runs=[run], at=2.0)
    await NatsOutcomes(bus).tell(outcome)
    await mark_start(bus, "engine", "life-1")
    await engine.kill()
    await wakes.stop()
    return run


@asynccontextmanager
async def projecting(bus: Bus, model: ReadModel) -> AsyncIterator[None]:
    task = asyncio.create_task(Projector(bus, model, SHARDS).serve())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def folded(bus: Bus, model: ReadModel) -> None:
    """Until the model has folded all that its streams hold."""
    names = [*(subjects.runs_stream(k) for k in range(SHARDS)), subjects.LEASES, subjects.HOST]
    lanes = [subjects.intake_stream(k) for k in range(subjects.INTAKE_LANES)]
    for name in [*names, *lanes, subjects.OUTCOMES]:
        last = (await bus.js.stream_info(name)).state.last_seq
        await until(lambda n=name, seq=last: model.cursor(n) >= seq)


async def test_a_read_model_folded_anew_is_the_same(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            first, second = (ReadModel(f"sqlite:///{tmp_path / name}") for name in ("a", "b"))
            async with projecting(bus, first):
                run = await something_happens(bus, tmp_path)
                await folded(bus, first)
            async with projecting(bus, second):
                await folded(bus, second)
            assert dump(first) == dump(second)
            assert any(run in row for row in dump(first)["runs"])
            for model in (first, second):
                model.close()


def test_a_message_that_cannot_be_folded_is_left_out_and_stops_nobody(tmp_path: Path) -> None:
    model = ReadModel(f"sqlite:///{tmp_path / 'a'}")

    def told(number: int) -> Change:
        row = tables.InputRow(run="r", sequence=number, at=1.0, type="x", summary="")
        return Change(number, lambda session: session.add(row))

    def wrong(session: Session) -> None:
        session.add(tables.InputRow(run="r", sequence=2, at=2**80, type="x", summary="\ud800"))

    def broken(_session: Session) -> None:
        raise KeyError("no such step")

    changes = [told(1), Change(2, wrong), told(3), Change(4, broken), told(5), Change(6, broken)]
    assert model.apply("RUNS_0", changes) == 6
    assert model.cursor("RUNS_0") == 6
    with Session(model.engine) as session:
        assert [row.sequence for row in session.exec(select(tables.InputRow))] == [1, 3, 5]
    model.close()


async def test_a_projector_that_is_killed_goes_on_where_its_database_is(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            model = ReadModel(f"sqlite:///{tmp_path / 'a'}")
            async with projecting(bus, model):
                await something_happens(bus, tmp_path)
            async with projecting(bus, model):
                await folded(bus, model)
            whole = ReadModel(f"sqlite:///{tmp_path / 'b'}")
            async with projecting(bus, whole):
                await folded(bus, whole)
            assert dump(model) == dump(whole)
            for one in (model, whole):
                one.close()


def test_a_message_that_comes_twice_is_folded_once(tmp_path: Path) -> None:
    model = ReadModel(f"sqlite:///{tmp_path / 'a'}")
    calls: list[int] = []
    change = Change(7, lambda _session: calls.append(7))
    assert model.apply("S", [change]) == 7
    assert model.apply("S", [change, Change(6, lambda _session: calls.append(6))]) == 7
    assert calls == [7]
    model.close()


def test_a_fold_that_the_database_fails_moves_no_cursor(tmp_path: Path) -> None:
    model = ReadModel(f"sqlite:///{tmp_path / 'a'}")
    with model.engine.begin() as connection:
        connection.execute(text("DROP TABLE inputs"))
    row = tables.InputRow(run="r", sequence=2, at=1.0, type="x", summary="")
    with pytest.raises(OperationalError):
        model.apply("S", [Change(1, lambda _session: None), Change(2, lambda s: s.add(row))])
    assert model.cursor("S") == 0
    model.close()
