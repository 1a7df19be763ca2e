"""The intake of engine 0: from recorded deliveries to Runs. Loads git and the forges' parsers."""

import time

from ci_host.adapters.git.mirror import Mirrors
from ci_host.adapters.git.source import GitSource, registered
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.consumer import ConsumerRule, NatsQueue
from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.stores import (
    NatsBundles,
    NatsCatalog,
    NatsOutcomes,
    NatsStatusOutbox,
    decode_delivery,
)
from ci_host.engine.intake import Intake
from ci_host.engine.live import Prepareds
from ci_host.engine.triggers import Triggers
from ci_host.settings import ProcessSettings
from ci_host.tenant.sandbox import Sandbox
from pipelines.repo import Delivery
from webhooks.forge import Ignored, ParsedEvent
from webhooks.manual import MANUAL_EVENT, parse_manual
from webhooks.registry import parse_delivery


def _parse(delivery: Delivery) -> list[ParsedEvent] | Ignored:
    return parse_manual(delivery) if delivery.event == MANUAL_EVENT else parse_delivery(delivery)


async def open_intake(
    process: ProcessSettings,
    bus: Bus,
    history: NatsHistory,
    prepareds: Prepareds,
    sandbox: Sandbox,
) -> Intake:
    """Put it together; it takes nothing before `serve`."""
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
    rule = ConsumerRule(subjects.INTAKE, "trigger", ("intake.>",))
    return Intake(NatsQueue(bus, rule, lambda got: decode_delivery(got.body)), triggers)
