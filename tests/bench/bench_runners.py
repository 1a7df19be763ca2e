"""Runners: how soon a job is known as lost when its machine is gone for good."""

import asyncio
import random
import subprocess
import time
from pathlib import Path

from pipelines.job import LEASE_S, JobSpec, Outcome
from runners import job_directory
from tests.bench import report
from tests.runner_world import World, kill, make_spec, until, world

DOOMED = 8
APART_S = 2.0


def lost() -> None:
    """Several machines die one after another, each with a job; a survivor is of the same pool."""
    samples = asyncio.run(_lost())
    report.spread("runner.lost", "s", samples, lease_s=LEASE_S, killed="agent and shim")


async def _lost() -> list[float]:
    async with world() as bus:
        doomed = [await _busy(bus, number) for number in range(DOOMED)]
        bus.agent()
        await until(lambda: bus.agent_log().count('"agent up"') == DOOMED + 1, "the survivor")
        # Its silence is only judged by one who has listened for as long.
        await asyncio.sleep(LEASE_S)
        waits = []
        for agent, home, spec in doomed:
            agent.kill()
            agent.wait()
            kill(job_directory.read_record(str(home / "jobs" / spec.id), job_directory.SHIM)["pid"])
            waits.append(asyncio.create_task(_until_known(bus, spec)))
            await asyncio.sleep(APART_S * random.random())
        return await asyncio.gather(*waits)


async def _busy(bus: World, number: int) -> tuple[subprocess.Popen[bytes], Path, JobSpec]:
    """An agent with a job that never ends by itself."""
    home = bus.root / f"doomed-{number}"
    agent = bus.agent(data=home, slots=1)
    spec = make_spec(None, "sleep 600", key=f"job-{number}")
    await bus.submit(spec)
    shim = home / "jobs" / spec.id
    await until(lambda: job_directory.read_record(str(shim), job_directory.SHIM), "the job")
    return agent, home, spec


async def _until_known(bus: World, spec: JobSpec) -> float:
    began = time.monotonic()
    while not (reports := await bus.reports(spec)):
        await asyncio.sleep(0.05)
    assert reports[0].outcome is Outcome.LOST, reports
    return time.monotonic() - began
