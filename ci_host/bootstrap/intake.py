"""The intake of engine 0: from deliveries, from what is due by a schedule, and from refs that have
moved without a word of the forge, to Runs.

Loads git and the forges' parsers.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx2

from ci_host.adapters.git.mirror import Mirrors
from ci_host.adapters.git.origin import Registered
from ci_host.adapters.git.source import GitSource, registered
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.comments import NatsComments
from ci_host.adapters.nats.consumer import ConsumerRule, NatsQueue
from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.sights import NatsHearsay
from ci_host.adapters.nats.statuses import NatsStatusOutbox
from ci_host.adapters.nats.stores import (
    NatsBundles,
    NatsCatalog,
    NatsInbox,
    NatsOutcomes,
    decode_delivery,
)
from ci_host.adapters.nats.timetables import NatsTimetables, rings
from ci_host.bootstrap.admissions import admissions_of
from ci_host.bootstrap.check_suites import AppSuites
from ci_host.bootstrap.comments import answers, reports_of
from ci_host.bootstrap.fetch_tokens import FetchTokens
from ci_host.bootstrap.lookers import Lookers
from ci_host.bootstrap.places import Places
from ci_host.bootstrap.renames import renames_of
from ci_host.engine.attention import Attention, Heeded
from ci_host.engine.comment_commands import CommentCommands
from ci_host.engine.forge_gates import ForgeGates
from ci_host.engine.forge_reruns import ForgeReruns
from ci_host.engine.intake import Intake
from ci_host.engine.live import Prepareds
from ci_host.engine.named_source import NamedSource, ThreadsCheck
from ci_host.engine.notices import Notices
from ci_host.engine.people import People
from ci_host.engine.pipeline_files import PipelineFiles
from ci_host.engine.reconciler import Reconciler
from ci_host.engine.redeliveries import Redeliveries
from ci_host.engine.renames import Renames
from ci_host.engine.ringing import Ringing
from ci_host.engine.schedules import Schedules
from ci_host.engine.triggers import Triggers
from ci_host.settings import ProcessSettings, Settings
from ci_host.tenant.sandbox import Sandbox
from pipelines.repo import Delivery, Repo
from webhooks.forge import Connections, Ignored, ParsedEvent
from webhooks.github.app import AppTokens
from webhooks.manual import MANUAL_EVENT, parse_manual
from webhooks.reconciled import RECONCILED_EVENT, parse_reconciled
from webhooks.registry import parse_delivery


def _parse(delivery: Delivery) -> list[ParsedEvent] | Ignored:
    match delivery.event:
        case event if event == MANUAL_EVENT:
            return parse_manual(delivery)
        case event if event == RECONCILED_EVENT:
            return parse_reconciled(delivery)
        case _:
            return parse_delivery(delivery)


async def open_intake(
    process: ProcessSettings,
    bus: Bus,
    history: NatsHistory,
    prepareds: Prepareds,
    sandbox: Sandbox,
) -> Sequence[Intake | Ringing | Reconciler | Redeliveries]:
    """Put all of it together; it takes nothing before `serve`."""
    settings = process.settings
    directory = Directory(bus)
    await directory.start()
    # For as long as the process lives.
    client = httpx2.AsyncClient()
    apps = AppTokens(client, time.time)
    loop, renames = asyncio.get_running_loop(), renames_of(bus, directory, client, apps)
    tokens, places = FetchTokens(apps, directory, loop), Places(directory, client, loop)
    source = _source(settings, directory, tokens, places, renames)
    files = PipelineFiles(source, NatsBundles(bus), prepareds, sandbox, time.time)
    timetables, shards = NatsTimetables(bus), settings.shards
    schedules = Schedules(timetables, NatsCatalog(bus), source, files, history, shards=shards)
    admissions = admissions_of(bus, directory, source, client, apps, renames)
    reruns = ForgeReruns(history, AppSuites(client, apps, directory, time.time), shards)
    people = People(history, now=time.time, new_id=lambda: uuid4().hex)
    may_answer = partial(answers, directory, settings)
    commands = CommentCommands(
        admissions, source, files, history, people, reruns, NatsComments(bus), may_answer,
        shards=shards, base_url=settings.url,
    )  # fmt: skip
    attention = Attention(settings.reconcile_s, now=time.time, elapsed=time.monotonic)
    triggers = Triggers(
        renames,
        source,
        files,
        schedules,
        admissions,
        history,
        _notices(bus, directory, history, settings),
        NatsOutcomes(bus),
        reruns,
        Heeded(NatsHearsay(bus), attention),
        commands,
        ForgeGates(admissions, history, people),
        parse=_parse,
        now=time.time,
        shards=shards,
    )
    lookers = Lookers(bus, directory, client, apps, renames).of(
        settings, attention, _mirrors(settings), partial(_registered, directory, tokens), tokens
    )
    intake = Intake(deliveries_of(bus), triggers, NatsInbox(bus), time.monotonic)
    return [intake, Ringing(rings(bus), schedules), *lookers]


def has_checks(connections: Connections, connection: str) -> bool:
    """Whether commits are shown checks there."""
    known = connections.find(connection)
    return known is not None and bool(known.app)


def _source(
    settings: Settings,
    directory: Directory,
    tokens: FetchTokens,
    places: Places,
    renames: Renames,
) -> NamedSource:
    mirrors = Mirrors(
        _mirrors(settings),
        lambda: registered(directory.connections, directory.repos, tokens.of),
    )
    check = ThreadsCheck(renames, asyncio.get_running_loop())
    return NamedSource(GitSource(mirrors, places.of, tokens.renew), renames.aside, check)


def deliveries_of(bus: Bus) -> list[NatsQueue[Delivery]]:
    """What was recorded and is not seen to yet, lane by lane."""
    rules = [
        ConsumerRule(subjects.intake_stream(lane), "trigger", (subjects.intake_subjects(lane),))
        for lane in range(subjects.INTAKE_LANES)
    ]
    return [NatsQueue(bus, rule, lambda got: decode_delivery(got.body)) for rule in rules]


def _notices(bus: Bus, directory: Directory, history: NatsHistory, settings: Settings) -> Notices:
    return Notices(
        NatsStatusOutbox(bus),
        now=time.time,
        base_url=settings.url,
        has_checks=partial(has_checks, directory),
        pulls=reports_of(bus, directory, history, settings),
    )


def _mirrors(settings: Settings) -> Path:
    return settings.data / "mirrors"


def _registered(directory: Directory, tokens: FetchTokens, repo: Repo) -> Registered:
    connection = directory.connections.get(repo.connection)
    known = {} if connection is None else {connection.id: connection}
    return registered(known, {repo.id: repo}, tokens.of)
