"""Real agents whose jobs have images."""

import os

import pytest

from pipelines.job import Outcome
from tests.oci import Maker, entry, layer, programs
from tests.registry import Registry, needs_registry
from tests.runner_world import kill, make_spec, pids_with, until, world

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.nats, pytest.mark.bwrap]


@pytest.fixture
async def bus():
    async with world() as made:
        yield made


async def test_an_agent_killed_while_it_unpacks_leaves_the_job_and_the_image_to_the_next(bus):
    offered = bus.root / "offered"
    many = layer(*(entry(f"many/{n}", b"x" * 100) for n in range(20_000)))
    digest = Maker(offered / "system").image(programs(), many, tag="1")
    spec = make_spec(None, "ls /many | wc -l", image="system:1")
    agent = bus.agent(more=["--images", str(offered)])
    await bus.submit(spec)
    unpacker = (await until(lambda: pids_with(str(bus.data / "images")), "the unpacking"))[0]
    kill(agent.pid)
    agent.wait()
    await until(lambda: unpacker not in pids_with(str(bus.data / "images")), "its end")
    assert [path.name[0] for path in (bus.data / "images").iterdir()] == ["."]
    bus.agent(more=["--images", str(offered)])
    report = await bus.report(spec)
    assert report.outcome is Outcome.SUCCEEDED, report
    assert report.image == f"system@{digest}"
    assert "20000\n" in await bus.log(spec)
    assert len(list((bus.data / "images").iterdir())) == 1


async def test_a_job_of_an_image_that_is_not_there_is_refused_with_those_that_are(bus):
    Maker(bus.root / "offered" / "small").image(layer())
    bus.agent(more=["--images", str(bus.root / "offered")])
    spec = make_spec(None, "true", image="other")
    await bus.submit(spec)
    report = await bus.report(spec)
    assert report.outcome is Outcome.REFUSED
    assert "has no image 'other' (it has: small)" in report.message


@needs_registry
async def test_an_agent_killed_while_it_fetches_leaves_the_job_to_the_next_which_fetches_anew(bus):
    registry = Registry(bus.root / "registry").start()
    try:
        made = bus.root / "layout"
        digest = Maker(made).image(programs(), layer(entry("big", os.urandom(150_000_000))))
        registry.push(made, "team/app", "1")
        spec = make_spec(None, "wc -c < /big", image=f"{registry.name}/team/app:1")
        agent = bus.agent(more=["--registry", registry.listed])
        await bus.submit(spec)
        found = await until(lambda: pids_with("runners.registry_fetch"), "the fetching")
        kill(agent.pid)
        agent.wait()
        await until(lambda: not set(found) & set(pids_with("runners.registry_fetch")), "its end")
        bus.agent(more=["--registry", registry.listed])
        report = await bus.report(spec)
        assert report.outcome is Outcome.SUCCEEDED, report
        assert report.image == f"{registry.name}/team/app@{digest}"
        assert "150000000\n" in await bus.log(spec)
        assert [path.name for path in (bus.data / "images").iterdir()] == [digest[7:]]
    finally:
        registry.close()
