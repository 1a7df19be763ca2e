"""Services and an agent that is killed; with real processes, and a real bus and blob store."""

import os

import pytest

from pipelines.job import Outcome
from pipelines.service import Service
from tests.oci import Maker, copied, programs
from tests.runner_world import kill, make_spec, pids_with, until, world
from tests.service_images import DATABASE, POSTGRES, REDIS, needs_servers

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.nats, pytest.mark.bwrap]

ASK = f"{POSTGRES}/psql -h db -U postgres -Atc"


@pytest.fixture
async def bus():
    async with world() as made:
        yield made


@needs_servers
async def test_a_job_and_its_database_go_on_without_the_agent_and_are_told_by_the_next(bus):
    kept = ["--blobs", f"file://{bus.root}/kept"]
    script = (
        f"{ASK} 'create table t as select 41 as n'; echo begun\n"
        f"until test -e go; do sleep 0.1; done\n{ASK} 'select n + 1 from t'"
    )
    spec = make_spec(None, script, services=[DATABASE])
    agent = bus.agent(more=kept)
    await bus.submit(spec)
    log = bus.job_directory(spec) / "log"
    await until(lambda: log.exists() and "begun\n" in log.read_text(), "the first line")
    kill(agent.pid)
    agent.wait()
    (bus.job_directory(spec) / "workspace" / "go").touch()
    exit_record = bus.job_directory(spec) / "exit.json"
    await until(exit_record.exists, "the end of the job, with no agent there")
    bus.agent(more=kept)
    report = await bus.report(spec)
    assert report.outcome is Outcome.SUCCEEDED, report
    [told] = report.services
    assert (told.name, told.state) == ("db", "ready")
    assert "\n42\n" in await bus.log(spec)
    said = await bus.log(spec, "db")
    assert "ready to accept connections" in said
    assert told.log_bytes == len(said.encode())

    async def sealed():
        return (await bus.chunks(spec, "db"))[-1].kept

    await until(sealed, "the log of the service, kept")
    await bus.settled()


async def test_a_killed_shim_takes_job_and_services_along_and_the_job_is_lost(bus):
    marker = f"43210.{os.getpid()}"
    service = Service(
        name="db", run=f"trap '' TERM; setsid nohup sleep {marker} & sleep {marker}", ready="true"
    )
    spec = make_spec(None, f"sleep {marker}", services=[service])
    bus.agent()
    await bus.submit(spec)
    await until(lambda: len(pids_with(marker)) >= 3, "all of them")
    shim = (await until(lambda: pids_with(str(bus.job_directory(spec))), "the shim"))[0]
    kill(shim)
    report = await bus.report(spec)
    assert report.outcome is Outcome.LOST
    await until(lambda: not pids_with(marker), "the end of all of them")


async def test_a_cancel_of_a_job_whose_services_are_not_ready_yet_ends_them(bus):
    marker = f"32109.{os.getpid()}"
    service = Service(name="db", run=f"sleep {marker}", ready="false", ready_s=60)
    spec = make_spec(None, "true", services=[service])
    bus.agent()
    await bus.submit(spec)
    await until(lambda: pids_with(marker), "the service")
    await bus.cancel(spec)
    report = await bus.report(spec)
    assert report.outcome is Outcome.CANCELLED
    assert report.services[0].state == "starting"
    await until(lambda: not pids_with(marker), "its end")


@needs_servers
async def test_a_service_of_an_image_beside_a_job_of_another(bus):
    offered = bus.root / "offered"
    digest = Maker(offered / "redis").image(copied(REDIS), tag="7", Cmd=[str(REDIS), "--save", ""])
    Maker(offered / "tools").image(programs(), copied("/usr/bin/redis-cli"), tag="1")
    bus.agent(more=["--images", str(offered)])
    cache = Service(name="cache", image="redis:7", port=6379)
    spec = make_spec(None, "redis-cli -h cache ping", image="tools:1", services=[cache])
    await bus.submit(spec)
    report = await bus.report(spec)
    assert report.outcome is Outcome.SUCCEEDED, await bus.log(spec)
    assert "PONG\n" in await bus.log(spec)
    assert report.services[0].image == f"redis@{digest}"
