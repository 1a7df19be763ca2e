"""A runner that is gone for good: another one of its pool says what became of its jobs."""

from functools import partial

import pytest

from pipelines.job import Outcome
from runners import job_directory
from runners.link.nats import ACK_WAIT_S
from tests.runner_world import kill, make_spec, until, world

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.nats, pytest.mark.bwrap]


@pytest.fixture
async def bus():
    async with world() as made:
        yield made


def shim_of(directory):
    return job_directory.read_record(str(directory), job_directory.SHIM)


async def test_a_job_of_a_vanished_runner_is_lost_and_of_a_living_one_is_left(bus):
    homes = {key: bus.root / key for key in ("gone", "alive")}
    specs = {key: make_spec(None, "sleep 300", key=key) for key in homes}
    agents = {}
    for key, home in homes.items():
        agents[key] = bus.agent(data=home, slots=1)
        await bus.submit(specs[key])
        shim = home / "jobs" / specs[key].id
        await until(partial(shim_of, shim), f"the job of {key}")
    # A machine that is gone: its agent and everything that the agent had begun.
    agents["gone"].kill()
    agents["gone"].wait()
    kill(shim_of(homes["gone"] / "jobs" / specs["gone"].id)["pid"])
    bus.agent()
    report = await bus.report(specs["gone"])
    assert report.outcome is Outcome.LOST
    assert report.runner == (homes["gone"] / "runner-id").read_text().strip()
    assert "no sign of life for 15 s" in report.message
    assert await bus.queued() == 1
    assert await bus.reports(specs["alive"]) == []


async def test_the_queue_of_an_older_release_is_brought_to_the_rules_of_this_one(bus):
    old = {
        "durable_name": "runners-default",
        "name": "runners-default",
        "ack_policy": "explicit",
        "ack_wait": 30_000_000_000,
        "max_deliver": -1,
        "max_ack_pending": 10_000,
        "filter_subject": "jobs.default",
    }
    wish = {"stream_name": "JOBS", "config": old, "action": "create"}
    await bus.ask("CONSUMER.CREATE.JOBS.runners-default.jobs.default", wish)
    bus.agent()
    await until(lambda: '"agent up"' in bus.agent_log(), "the agent")
    found = await bus.ask("CONSUMER.INFO.JOBS.runners-default", {})
    assert found["config"]["ack_wait"] == ACK_WAIT_S * 1e9
    assert {**old, **found["config"], "ack_wait": 0} == {**found["config"], "ack_wait": 0}
