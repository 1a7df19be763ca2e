"""A runner that is gone for good: another one of its pool says what became of its jobs."""

import os
import signal
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
    homes = {key: bus.root / key for key in ("gone", "frozen", "alive")}
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
    agents["frozen"].send_signal(signal.SIGSTOP)
    bus.agent()
    for key in ("gone", "frozen"):
        report = await bus.report(specs[key])
        assert report.outcome is Outcome.LOST
        assert report.runner == (homes[key] / "runner-id").read_text().strip()
        assert "no sign of life for 15 s" in report.message
    await until(partial(left_on_the_queue, bus, 1), "the other jobs to be taken off")
    assert await bus.reports(specs["alive"]) == []
    # One that comes back after all works on nothing that was given up.
    frozen = homes["frozen"] / "jobs" / specs["frozen"].id
    assert job_directory.state_of(str(frozen)) == job_directory.RUNNING
    agents["frozen"].send_signal(signal.SIGCONT)
    await until(lambda: not frozen.exists(), "the end of the job that was given up")


async def left_on_the_queue(bus, count):
    return await bus.queued() == count


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


async def test_an_agent_and_the_next_one_leave_a_sign_that_they_look_after_a_job(bus):
    agent = bus.agent()
    spec = make_spec(None, "sleep 600")
    await bus.submit(spec)
    await until(lambda: shim_of(bus.job_directory(spec)), "the job")
    notes = bus.job_directory(spec) / job_directory.DELIVERY
    for last in (False, True):
        os.utime(notes, (0, 0))
        await until(lambda: notes.stat().st_mtime > 0, "the agent's sign", 60)
        if not last:
            agent.kill()
            agent.wait()
            bus.agent()
    await bus.cancel(spec)
    assert (await bus.report(spec)).outcome is Outcome.CANCELLED
