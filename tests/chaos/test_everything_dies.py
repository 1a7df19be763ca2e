"""Every process of a real installation is killed at random, again and again; nothing is lost."""

import asyncio
import json
import os
import random
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from ci_host.adapters.nats.bus import connect
from ci_host.adapters.nats.history import NatsHistory
from tests.chaos import judgement
from tests.chaos.everything import RUNS, Crowd, Reaper, until
from tests.demo.forge import TOKEN, RecordingForge
from tests.demo.installation import Installation
from tests.repos import Repo

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.nats,
    pytest.mark.bwrap,
    pytest.mark.sandbox,
]

SEED_DEFAULT = 7
CHAOS_S = 25.0
ASK_S = 18.0
CALM_S = 75.0


@pytest.fixture
def folder():
    made = Path(tempfile.mkdtemp(prefix="staunch-chaos-"))
    # Jobs run as users of their own, who must be able to reach what is theirs.
    made.chmod(0o711)
    effects = made / "effects"
    effects.mkdir()
    effects.chmod(0o777)
    yield made
    if not os.environ.get("STAUNCH_CHAOS_KEEP"):
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def forge():
    with RecordingForge() as forge:
        yield forge


@pytest.fixture
def installation(folder, forge):
    made = Installation(folder, "--volume", f"effects={folder / 'effects'}", "--slots", "4")
    try:
        made.start()
        yield made
    finally:
        made.stop()


async def test_fifty_runs_outlive_the_death_of_every_process(installation, folder, forge):
    seed = int(os.environ.get("STAUNCH_CHAOS_SEED", SEED_DEFAULT))
    print(f"STAUNCH_CHAOS_SEED={seed} in {folder}")
    repo = Repo(folder)
    installation.staunch(
        "repo", "add", str(repo.bare), "--name", "demo/app",
        "--api-url", forge.url, "--forge-token", TOKEN,
    )  # fmt: skip
    crowd = Crowd(installation, repo, random.Random(seed))
    reaper = Reaper(installation, random.Random(seed + 1))
    try:
        async with asyncio.TaskGroup() as people:
            serving = people.create_task(crowd.serve_runs())
            asking = people.create_task(crowd.ask_runs(ASK_S))
            await reaper.reap(CHAOS_S)
            calm = time.monotonic()
            print(f"{len(reaper.killed)} kills: {' '.join(reaper.killed)}")
            await asking
            flaws = await judge(installation, crowd, forge, folder / "effects", calm)
            serving.cancel()
    finally:
        await crowd.close()
    assert not flaws, "\n".join(flaws)


async def judge(installation, crowd, forge, effects, calm):
    """Wait for the end of everything; then every flaw of every run, as sentences."""
    state = json.loads((installation.data / "running.json").read_text())
    bus = await connect(state["nats_url"], name="judge")
    history = NatsHistory(bus, "judge")
    try:

        async def all_over():
            runs = await judgement.runs_on(bus)
            living = await judgement.living_runs(history, runs)
            return runs if len(runs) >= RUNS and not living else None

        runs = await until(f"the end of {RUNS} runs", all_over, CALM_S)
        print(f"all were over {time.monotonic() - calm:.1f} s after the last kill")

        async def settled():
            return not await judgement.unsettled(bus)

        await until("empty queues", settled, CALM_S)
        jobs = installation.data / "runner" / "jobs"

        async def swept():
            return not list(jobs.iterdir())

        await until("the removal of every job directory", swept, 10)

        async def all_told():
            return not [run for run in runs if list(judgement.flaws_of_statuses(run, forge.told))]

        await until("every status", all_told, 30)
        flaws = [] if len(runs) == RUNS else [f"there are {len(runs)} runs, not {RUNS}"]
        flaws += [f"{run} is unknown" for run in set(crowd.started.values()) - set(runs)]
        if len(set(crowd.started.values())) != len(crowd.started):
            flaws.append(f"two starts were answered with one run: {crowd.started}")
        for run, started in runs.items():
            stored = await history.read(run)
            found = judgement.flaws_of(started, stored, effects)
            flaws += [f"{started.pipeline} {run}: {flaw}" for flaw in found]

        async def listed():
            # The last kill may have been a moment ago: the host is given time to come back.
            shown = {run["id"]: run["state"] for run in await crowd.listed()}
            return shown == dict.fromkeys(runs, "succeeded")

        await until("a read model that says the same", listed, 30)
        return flaws
    finally:
        await bus.close()
