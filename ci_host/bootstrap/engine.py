"""The engine process: it alone holds tenant code. Expendable and supervised."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Protocol

import structlog

from ci_host.adapters.nats.bus import Bus, connect
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.jobs import NatsJobs
from ci_host.adapters.nats.marks import mark_start
from ci_host.adapters.nats.stores import NatsBundles, NatsGroups
from ci_host.adapters.nats.wakeups import NatsWakeUps
from ci_host.adapters.wasm.sandboxes import WasmSandboxes
from ci_host.bootstrap.incarnation import incarnation
from ci_host.bootstrap.loading import Loading, end_loading
from ci_host.bootstrap.opening import do_opening
from ci_host.engine.actors import Actors, EngineLimits
from ci_host.engine.crash_slots import CrashSlots
from ci_host.engine.live import Loader, Prepareds
from ci_host.engine.sandbox_threads import SandboxThreads
from ci_host.engine.turns import TurnMaker
from ci_host.settings import ProcessSettings
from ci_host.tenant.limits import Limits
from ci_host.tenant.sandbox import Sandbox

THREADS = 2
LIMITS = Limits()

log = structlog.get_logger()


class Serving(Protocol):
    """Works until it is cancelled."""

    async def serve(self) -> None: ...


Opened = Coroutine[None, None, Sequence[Serving]]
OpenIntake = Callable[[ProcessSettings, Bus, NatsHistory, Prepareds, Sandbox], Opened]


class Engine:
    """Begins to load what takes long at once; `run` may come much later.

    It serves the shards that it is told. Engine 0 also takes deliveries.
    """

    def __init__(self, process: ProcessSettings) -> None:
        self._process = process
        # What fetching code needs takes longest, and Runs are waiting.
        self._intake = Loading(_load_intake) if process.index == 0 else None

    async def run(self, nats_url: str) -> None:
        """Serve until cancelled."""
        process, name = self._process, incarnation()
        settings = process.settings
        sandboxes = await asyncio.to_thread(WasmSandboxes, settings.cache, LIMITS, _tell_progress)
        bus = await connect(nats_url, name=f"engine-{process.index}")
        slots = CrashSlots(settings.data / f"engine-{process.index}.slots", THREADS)
        threads = SandboxThreads(slots, THREADS)
        try:
            await _serve(process, bus, sandboxes, slots, threads, name, self._intake)
        finally:
            threads.close()
            sandboxes.close()
            await bus.close()


def _load_intake() -> OpenIntake:
    from ci_host.bootstrap.intake import open_intake

    return open_intake


def _tell_progress(said: str) -> None:
    log.info("guest_image", said=said)


async def _serve(
    process: ProcessSettings,
    bus: Bus,
    sandboxes: WasmSandboxes,
    slots: CrashSlots,
    threads: SandboxThreads,
    name: str,
    intake: "Loading[OpenIntake] | None",
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
    if intake is None:
        end_loading()
    await wakes.start()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(actors.serve())
            await mark_start(bus, "engine", name)
            log.info("engine_ready", index=process.index, shards=process.shards, incarnation=name)
            if intake is not None:
                open_intake = await intake.done()
                end_loading()
                if process.settings.opening is not None:
                    await do_opening(process.settings.opening, bus)
                opened = await open_intake(process, bus, history, prepareds, sandboxes.current)
                for one in opened:
                    group.create_task(one.serve())
    finally:
        await actors.close()
        await wakes.stop()
