import asyncio

import pytest

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.sql import queries
from ci_host.adapters.sql.read_model import ReadModel
from ci_host.projector import Projector
from pipelines.event import Event, EventKind
from pipelines.events import RunStarted
from pipelines.ids import RunId, StepKey, job_id
from pipelines.job import Source
from tests.patience import PATIENCE_S
from tests.servers import SHARDS, bus_of, nats_server

pytestmark = [pytest.mark.anyio, pytest.mark.nats]

RUN = RunId("1-abc")
LEASE = b'{"job": "%s", "key": "unit", "runner": "a", "started_at": 1.0}'


async def test_news_of_a_run_and_of_its_jobs_come_when_they_can_be_read(tmp_path):
    model = ReadModel(f"sqlite:///{tmp_path / 'read-model.sqlite'}")
    told: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def tell(run: str) -> None:
        told.put_nowait((run, queries.run_mark(model, run)))

    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            projecting = asyncio.create_task(Projector(bus, model, SHARDS, tell).serve())
            await NatsHistory(bus, "test").create(
                RUN,
                RunStarted(
                    run=RUN,
                    repo="r",
                    repo_name="r",
                    connection="c",
                    pipeline="p",
                    file="f",
                    bundle="b",
                    source=Source(mirror="/m", commit="c"),
                    event=Event(kind=EventKind.PUSH),
                ),
            )
            async with asyncio.timeout(PATIENCE_S):
                run, first = await told.get()
                job = job_id(RUN, StepKey("unit"), 1)
                await bus.publish(subjects.lease(job), LEASE % job.encode())
                same, second = await told.get()
            projecting.cancel()
            await asyncio.gather(projecting, return_exceptions=True)
    model.close()
    assert run == same == RUN
    assert first and second and first != second
