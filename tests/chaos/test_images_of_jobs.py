"""Real agents whose jobs have images."""

import pytest

from pipelines.job import Outcome
from tests.oci import Maker, entry, layer, programs
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
