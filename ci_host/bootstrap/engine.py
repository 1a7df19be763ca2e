"""The engine process: it alone holds tenant code. Expendable and supervised."""

import asyncio
import gc
import time

import structlog

from ci_host.adapters.git.mirror import Mirrors
from ci_host.adapters.git.source import GitSource, registered
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus, connect
from ci_host.adapters.nats.consumer import ConsumerRule, NatsQueue
from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.jobs import NatsJobs
from ci_host.adapters.nats.marks import mark_start
from ci_host.adapters.nats.stores import (
    NatsBundles,
    NatsCatalog,
    NatsOutcomes,
    NatsStatusOutbox,
    decode_delivery,
)
from ci_host.adapters.nats.wakeups import NatsWakeUps
from ci_host.adapters.wasm.sandboxes import WasmSandboxes
from ci_host.bootstrap.incarnation import incarnation
from ci_host.engine.actors import Actors, EngineLimits
from ci_host.engine.crash_slots import CrashSlots
from ci_host.engine.intake import Intake
from ci_host.engine.live import Loader, Prepareds
from ci_host.engine.sandbox_threads import SandboxThreads
from ci_host.engine.triggers import Triggers
from ci_host.engine.turns import TurnMaker
from ci_host.settings import ProcessSettings
from ci_host.tenant.limits import Limits
from ci_host.tenant.sandbox import Sandbox
from pipelines.repo import Delivery
from webhooks.forge import Ignored, ParsedEvent
from webhooks.manual import MANUAL_EVENT, parse_manual
from webhooks.registry import parse_delivery

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
    history = NatsHistory(bus, name)
    prepareds = Prepareds(NatsBundles(bus), threads)
    wakes = NatsWakeUps(bus, process.shards, exclusive=process.exclusive)
    actors = Actors(
        history,
        wakes,
        Loader(history, prepareds, sandboxes, threads),
        TurnMaker(history, NatsJobs(bus), threads, name),
        threads,
        sandboxes.current,
        slots,
        EngineLimits(),
    )
    await threads.maintain(sandboxes.current.refill)
    # What lives now lives long: the collector need not look at it again in every cold load.
    gc.collect()
    gc.freeze()
    await wakes.start()
    await mark_start(bus, "engine", name)
    log.info("engine_ready", index=process.index, shards=process.shards, incarnation=name)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(actors.serve())
            if process.index == 0:
                intake = await _intake(process, bus, history, prepareds, sandboxes.current)
                group.create_task(intake.serve())
    finally:
        await actors.close()
        await wakes.stop()


def _parse(delivery: Delivery) -> list[ParsedEvent] | Ignored:
    return parse_manual(delivery) if delivery.event == MANUAL_EVENT else parse_delivery(delivery)


async def _intake(
    process: ProcessSettings,
    bus: Bus,
    history: NatsHistory,
    prepareds: Prepareds,
    sandbox: Sandbox,
) -> Intake:
    settings = process.settings
    directory = Directory(bus)
    await directory.start()
    mirrors = Mirrors(
        settings.data / "mirrors", lambda: registered(directory.connections, directory.repos)
    )
    triggers = Triggers(
        NatsCatalog(bus),
        GitSource(mirrors),
        NatsBundles(bus),
        prepareds,
        sandbox,
        history,
        NatsStatusOutbox(bus),
        NatsOutcomes(bus),
        parse=_parse,
        now=time.time,
        shards=settings.shards,
        base_url=settings.url,
    )
    rule = ConsumerRule(subjects.INTAKE, "trigger", ("intake.>",), exclusive=process.exclusive)
    return Intake(NatsQueue(bus, rule, lambda got: decode_delivery(got.body)), triggers)
