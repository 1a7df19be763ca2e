"""The engine process: it alone holds tenant code. Expendable and supervised."""

import asyncio
import gc

import structlog

from ci_host.adapters.nats.bus import Bus, connect
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.jobs import NatsJobs
from ci_host.adapters.nats.marks import mark_start
from ci_host.adapters.nats.stores import NatsBundles, NatsGroups
from ci_host.adapters.nats.wakeups import NatsWakeUps
from ci_host.adapters.wasm.sandboxes import WasmSandboxes
from ci_host.bootstrap.incarnation import incarnation
from ci_host.engine.actors import Actors, EngineLimits
from ci_host.engine.crash_slots import CrashSlots
from ci_host.engine.live import Loader, Prepareds
from ci_host.engine.sandbox_threads import SandboxThreads
from ci_host.engine.turns import TurnMaker
from ci_host.settings import ProcessSettings
from ci_host.tenant.limits import Limits

THREADS = 2
LIMITS = Limits()

log = structlog.get_logger()


async def run_engine(process: ProcessSettings) -> None:
    """Serve the shards of this engine until cancelled. Engine 0 also takes deliveries."""
    name = incarnation()
    settings = process.settings
    sandboxes = await asyncio.to_thread(WasmSandboxes, settings.cache, LIMITS, _tell_progress)
    bus = await connect(process.nats_url, name=f"engine-{process.index}")
    slots = CrashSlots(settings.data / f"engine-{process.index}.slots", THREADS)
    threads = SandboxThreads(slots, THREADS)
    try:
        await _serve(process, bus, sandboxes, slots, threads, name)
    finally:
        threads.close()
        sandboxes.close()
        await bus.close()


def _tell_progress(said: str) -> None:
    log.info("guest_image", said=said)


async def _serve(
    process: ProcessSettings,
    bus: Bus,
    sandboxes: WasmSandboxes,
    slots: CrashSlots,
    threads: SandboxThreads,
    name: str,
) -> None:
    history = NatsHistory(bus, name, process.settings.nats_replicas)
    prepareds = Prepareds(NatsBundles(bus), threads)
    wakes = NatsWakeUps(bus, process.shards)
    actors = Actors(
        history,
        wakes,
        Loader(history, prepareds, sandboxes, threads),
        TurnMaker(history, NatsJobs(bus), NatsGroups(bus), threads, name),
        threads,
        sandboxes.current,
        slots,
        EngineLimits(hibernate=process.settings.hibernate),
    )
    await threads.maintain(sandboxes.current.refill)
    # What lives now lives long: the collector need not look at it again in every cold load.
    gc.collect()
    gc.freeze()
    await wakes.start()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(actors.serve())
            await mark_start(bus, "engine", name)
            log.info("engine_ready", index=process.index, shards=process.shards, incarnation=name)
            if process.index == 0:
                # Only now: what fetching code needs takes long to load, and Runs are waiting.
                from ci_host.bootstrap.intake import open_intake

                for one in await open_intake(process, bus, history, prepareds, sandboxes.current):
                    group.create_task(one.serve())
    finally:
        await actors.close()
        await wakes.stop()
