"""Jobs: how many small ones a runner does, how soon one is claimed, and how fast files are kept."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from ci_host.adapters.nats.bus import connect
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.jobs import NatsJobs
from ci_host.adapters.nats.line import NatsLine
from ci_host.engine.dispatcher import Dispatcher
from pipelines.job import JobSpec, Lease, Outcome
from runners.blobs import Blobs
from runners.packing import Packed, pack
from runners.unpacking import unpack
from tests.bench import report
from tests.runner_world import World, make_spec, until, world

JOBS = 200
SLOTS = 2
CLAIMS = 60
LARGE_BYTES = 200_000_000
SMALL_FILES, SMALL_BYTES = 5_000, 20_000
ROUNDS = 3


def small() -> None:
    """Many jobs of `true` that are there at once, and some that come one by one."""
    asyncio.run(_small())


async def _small() -> None:
    async with world() as bus, _released(bus) as jobs:
        bus.agent(slots=SLOTS, more=["--blobs", f"file://{bus.root}/kept"])
        await until(lambda: '"agent up"' in bus.agent_log(), "the agent")
        claims = [await _claimed(bus, jobs, number) for number in range(CLAIMS)]
        began = time.monotonic()
        specs = [make_spec(None, "true", key=f"many-{number}") for number in range(JOBS)]
        for spec in specs:
            await jobs.publish(spec)
        await _settled(bus)
        took = time.monotonic() - began
        for spec in specs[:: JOBS // 10]:
            assert (await bus.report(spec)).outcome is Outcome.SUCCEEDED
    report.spread("queue.claim", "ms", claims)
    report.single("jobs.per_minute", "jobs/min", JOBS / took * 60, jobs=JOBS, slots=SLOTS)


@contextlib.asynccontextmanager
async def _released(bus: World) -> AsyncIterator[NatsJobs]:
    """What an engine offers its jobs by; they are released as the host does it."""
    host = await connect(bus.server.url, name="host")
    dispatcher = Dispatcher(NatsLine(host), NatsHistory(host, "bench", 1), now=time.time)
    dispatching = asyncio.create_task(dispatcher.serve())
    try:
        yield NatsJobs(host)
    finally:
        dispatching.cancel()
        await asyncio.gather(dispatching, return_exceptions=True)
        await host.close()


async def _settled(bus: World) -> None:
    async def is_empty() -> bool:
        offers = (await bus.ask("STREAM.INFO.OFFERS", {}))["state"]["messages"]
        return not offers and await bus.queued() == 0

    await until(is_empty, "an empty queue")


async def _claimed(bus: World, jobs: NatsJobs, number: int) -> float:
    """From just before a job is offered until its runner takes it, by the clock of one machine."""
    spec = make_spec(None, "true", key=f"one-{number}")
    began = time.time()
    await jobs.publish(spec)
    await _settled(bus)
    return (await _lease(bus, spec)).started_at * 1e3 - began * 1e3


async def _lease(bus: World, spec: JobSpec) -> Lease:
    [stored] = await bus.messages("LEASES", f"lease.{spec.id}")
    return msgspec.json.decode(stored, type=Lease)


def artifacts() -> None:
    """One large file and many small ones into a folder's blob store and out of it; beside `cp`."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-artifacts-"))
    samples: dict[str, list[float]] = {"cp": [], "up": [], "down": []}
    try:
        source = folder / "source"
        _fill(source)
        for turn in range(ROUNDS):
            store = Blobs(f"file://{folder}/kept-{turn}")
            copied, target = folder / "copied", folder / "target"
            target.mkdir()
            samples["cp"].append(_timed(lambda at=copied: _copy(source, at)))
            kept: list[Packed] = []
            samples["up"].append(
                _timed(lambda s=store, k=kept: k.append(asyncio.run(pack(source, ["*"], s))))
            )
            tree = kept[0].manifest
            samples["down"].append(
                _timed(lambda s=store, t=tree, at=target: asyncio.run(unpack(t, at, s)))
            )
            for used in (copied, target, folder / f"kept-{turn}"):
                shutil.rmtree(used)
    finally:
        shutil.rmtree(folder)
    size = (LARGE_BYTES + SMALL_FILES * SMALL_BYTES) / 1e6
    rates = {name: [size / took for took in found] for name, found in samples.items()}
    plain = float(f"{sorted(rates['cp'])[ROUNDS // 2]:.4g}")
    for name in ("up", "down"):
        report.spread(f"artifact.{name}", "MB/s", rates[name], cp=plain, files=SMALL_FILES + 1)


def _fill(source: Path) -> None:
    (source / "many").mkdir(parents=True)
    (source / "large").write_bytes(os.urandom(LARGE_BYTES))
    content = os.urandom(SMALL_FILES + SMALL_BYTES)
    for number in range(SMALL_FILES):
        (source / "many" / f"{number}.o").write_bytes(content[number : number + SMALL_BYTES])


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)


def _timed(call: Callable[[], object]) -> float:
    os.sync()
    began = time.monotonic()
    call()
    return time.monotonic() - began
