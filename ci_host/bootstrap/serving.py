"""What the host serves: webhooks, API, pages, projections and statuses, all put together.

It takes long to load. Not here: what releases jobs, which does not wait for it (`host`).
"""

import asyncio
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import structlog
import uvicorn

from ci_host.access import Token, digest_of_secret, new_secret
from ci_host.adapters.blobs.keeping import ObstoreKeeper
from ci_host.adapters.blobs.reading import ObstoreReader
from ci_host.adapters.blobs.shelves import ObstoreShelves
from ci_host.adapters.files.key_ring import KeyRingFile
from ci_host.adapters.files.signing_key_file import SigningKeyFile
from ci_host.adapters.git.commit_files import MirrorFiles
from ci_host.adapters.git.mirror import Mirrors
from ci_host.adapters.git.packs import MirrorPacks
from ci_host.adapters.git.source import GitSource, registered
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.accounts import NatsAccounts
from ci_host.adapters.nats.announcements import NatsAnnouncements
from ci_host.adapters.nats.audit import NatsAudit
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.caches import NatsCacheRecords
from ci_host.adapters.nats.consumer import ConsumerRule, Delivered, NatsQueue
from ci_host.adapters.nats.desk_bus import NatsDeskBus
from ci_host.adapters.nats.desk_requests import DeskRequests
from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.log_trimmer import LogTrimmer
from ci_host.adapters.nats.marks import mark_start
from ci_host.adapters.nats.registrations import NatsRegistrations
from ci_host.adapters.nats.secret_requests import serve_secrets
from ci_host.adapters.nats.secrets import NatsSecrets
from ci_host.adapters.nats.sessions import NatsSessions
from ci_host.adapters.nats.shells import NatsShells
from ci_host.adapters.nats.sights import NatsSights
from ci_host.adapters.nats.statuses import NatsStatusOutbox, NatsUntoldStatuses, outbox_of
from ci_host.adapters.nats.stores import NatsBundles, NatsCatalog, NatsInbox
from ci_host.adapters.nats.timetables import NatsTimetables
from ci_host.adapters.nats.trust import NatsTrust
from ci_host.adapters.nats.views import NatsViews
from ci_host.adapters.sql.read_model import ReadModel
from ci_host.api.app import create_app, hook_of
from ci_host.api.beginnings import Beginnings
from ci_host.api.device_logins import DeviceLogins
from ci_host.api.forge_levels import ForgeLevels
from ci_host.api.job_logs import LastLines
from ci_host.api.logins import Logins
from ci_host.api.news import News
from ci_host.api.problems import Interrupted
from ci_host.api.requests_measured import RequestNumbers, RequestsMeasured
from ci_host.api.services import Services
from ci_host.bootstrap.admissions import admissions_of
from ci_host.bootstrap.comments import deliver_comments, reports_of
from ci_host.bootstrap.subscriptions import deliver_announcements
from ci_host.engine.desk import Desk
from ci_host.engine.desk_answers import DeskAnswers
from ci_host.engine.dispatcher import Dispatcher
from ci_host.engine.forks import Forks
from ci_host.engine.id_tokens import IdTokens
from ci_host.engine.people import People
from ci_host.engine.registrations import Registrations
from ci_host.engine.reruns import Reruns
from ci_host.engine.retention import Retention
from ci_host.engine.schedule_acts import ScheduleActs
from ci_host.engine.secret_answers import told
from ci_host.engine.secrets import Secrets
from ci_host.engine.shells import Shells
from ci_host.engine.status_delivery import StatusDelivery, StatusRetelling
from ci_host.engine.statuses import StatusReporter
from ci_host.opening import owner
from ci_host.ports import TurnNews, Unavailable
from ci_host.projector import Projector
from ci_host.settings import ProcessSettings, Settings, is_traced
from ci_host.web.site import add_pages
from pipelines.codec import decode_turn
from pipelines.repo import Connection
from webhooks.github.app import AppTokens
from webhooks.members import Members
from webhooks.reporter import StatusSender, shows_reports_of
from webhooks.routes import HooksFirst

NEW_CONNECTIONS_S = 1.0
FORGE_TIMEOUT_S = 15.0

log = structlog.get_logger()


async def serve(process: ProcessSettings, bus: Bus, name: str, dispatcher: Dispatcher) -> None:
    """Serve until cancelled. `name`: this life of the process."""
    settings = process.settings
    model = ReadModel(f"sqlite:///{settings.data / 'read-model.sqlite'}")
    client = httpx2.AsyncClient(timeout=FORGE_TIMEOUT_S)
    try:
        services, requests = await services_of(bus, model, client, settings, name, dispatcher)
        await serve_secrets(bus, partial(told, services.secrets))
        await requests.start()
        await mark_start(bus, "host", name)
        await _serve(services)
    finally:
        model.close()


async def services_of(
    bus: Bus,
    model: ReadModel,
    client: httpx2.AsyncClient,
    settings: Settings,
    name: str,
    dispatcher: Dispatcher,
) -> tuple[Services, DeskRequests]:
    """What the routes need, and who answers Runners of other machines. `client` asks Forges."""
    directory = Directory(bus)
    await directory.start()
    await first_token(bus, directory, settings.data)
    news = News(bus)
    await news.start()
    history, bundles = NatsHistory(bus, name, settings.nats_replicas), NatsBundles(bus)
    timetables, signing = NatsTimetables(bus), SigningKeyFile(settings.data, time.time)
    registrations, requests = runners_of(bus, history, settings)
    services = Services(
        settings=settings,
        bus=bus,
        history=history,
        catalog=NatsCatalog(bus),
        inbox=NatsInbox(bus),
        directory=directory,
        model=model,
        people=People(history, now=time.time, new_id=new_id),
        reruns=Reruns(history, settings.shards),
        forks=Forks(history, settings.shards),
        bundles=bundles,
        blobs=ObstoreReader(settings.blobs_url),
        news=news,
        beginnings=Beginnings(model, history, bundles),
        timetables=timetables,
        sights=NatsSights(bus),
        schedules=ScheduleActs(timetables, new_id=new_id, shards=settings.shards),
        secrets=secrets_of(bus, history, signing, settings),
        registrations=registrations,
        signing_keys=signing,
        dispatcher=dispatcher,
        **_shells_of(bus, history),
        **_trust_of(bus, directory, client, settings),
        now=time.time,
        new_id=new_id,
    )
    return services, requests


async def _serve(here: Services) -> None:
    settings, bus = here.settings, here.bus
    async with asyncio.TaskGroup() as group:
        projector = Projector(bus, here.model, settings.shards, here.news.tell_folded)
        group.create_task(projector.serve())
        for shard in range(settings.shards):
            group.create_task(_reporter(here, shard).serve())
        group.create_task(deliver_statuses(bus, here.directory))
        tails = LastLines(here)
        group.create_task(deliver_announcements(here, _dice))
        group.create_task(deliver_comments(bus, here.directory, settings, tails, here.http, _dice))
        _clean_up(group, bus, settings)
        if is_traced(os.environ):
            group.create_task(_trace(here))
        group.create_task(here.registrations.serve())
        group.create_task(_serve_http(here))


def _shells_of(bus: Bus, history: NatsHistory) -> dict[str, Any]:
    """What terminals in jobs need."""
    kept = NatsShells(bus)
    made = Shells(kept, history, now=time.time, new_id=new_id)
    return {"shells": made, "shell_store": kept, "shell_lines": kept}


def _trust_of(
    bus: Bus, directory: Directory, client: httpx2.AsyncClient, settings: Settings
) -> dict[str, Any]:
    """What asking Forges needs: whose a pull request is, and what somebody may do there."""
    places = partial(registered, directory.connections, directory.repos)
    mirrors = Mirrors(settings.data / "mirrors", places)
    # Asked by people, it is by the forge alone that it judges: nothing is fetched here.
    source = GitSource(mirrors)
    apps = AppTokens(client, time.time)
    made = admissions_of(bus, directory, source, client, apps)
    untold = NatsUntoldStatuses(bus)
    return {
        "admissions": made,
        "trust": NatsTrust(bus),
        "http": client,
        "audit": NatsAudit(bus),
        "sessions": NatsSessions(bus),
        "views": NatsViews(bus),
        "untold": untold,
        "retelling": StatusRetelling(NatsStatusOutbox(bus), untold, time.time),
        "levels": ForgeLevels(Members(directory, client, apps, now=time.time), now=time.time),
        "logins": Logins(time.time),
        "device_logins": DeviceLogins(time.time),
        "tries": {},
        "requests": RequestNumbers(),
    }


def secrets_of(
    bus: Bus, history: NatsHistory, signing: SigningKeyFile, settings: Settings
) -> Secrets:
    """Who keeps secrets here, and tells them."""
    keys = KeyRingFile(settings.data, os.environ)
    tokens = IdTokens(signing, issuer=settings.url, now=time.time, new_id=new_id)
    store, catalog, files = NatsSecrets(bus), NatsCatalog(bus), MirrorFiles()
    return Secrets(store, keys, history, catalog, tokens, files, now=time.time)


def runners_of(
    bus: Bus, history: NatsHistory, settings: Settings
) -> tuple[Registrations, DeskRequests]:
    """Who knows the Runners of other machines, and who answers them."""
    desk_bus = NatsDeskBus(bus, time.time)
    registrations = Registrations(
        NatsRegistrations(bus),
        NatsAccounts(settings.data / "nats", settings.bus_address),
        desk_bus,
        now=time.time,
        new_id=new_id,
    )
    blobs = ObstoreKeeper(settings.blobs_url)
    desk = Desk(desk_bus, registrations, history, blobs, MirrorPacks(), now=time.time)
    return registrations, DeskRequests(bus, DeskAnswers(desk, registrations))


def new_id() -> str:
    """An id that was never used."""
    return secrets.token_hex(12)


def _reporter(here: Services, shard: int) -> StatusReporter:
    rule = ConsumerRule(subjects.runs_stream(shard), "reporter", (f"run.{shard}.*.turn",))
    queue: NatsQueue[TurnNews] = NatsQueue(here.bus, rule, _turn_news)

    def shows_reports(connection: str) -> bool:
        known = here.directory.find(connection)
        return known is not None and shows_reports_of(known)

    outbox, url = NatsStatusOutbox(here.bus), here.settings.url
    pulls = reports_of(here.bus, here.directory, here.history, here.settings)
    announcements = NatsAnnouncements(here.bus)
    return StatusReporter(queue, here.history, outbox, url, shows_reports, pulls, announcements)


def _clean_up(group: asyncio.TaskGroup, bus: Bus, settings: Settings) -> None:
    group.create_task(LogTrimmer(bus).serve())
    group.create_task(_retention(bus, settings).serve())


async def _trace(here: Services) -> None:
    # Only here: where no collector is named, nothing of it is loaded.
    from ci_host.tracer import tracer_of

    while True:
        try:
            tracer = await tracer_of(here.bus, here.model, here.settings.url)
        except Unavailable as error:
            log.warning("traces_later", reason=str(error))
            await asyncio.sleep(NEW_CONNECTIONS_S)
        else:
            await tracer.serve()


def _retention(bus: Bus, settings: Settings) -> Retention:
    return Retention(
        ObstoreShelves(settings.blobs_url),
        NatsCacheRecords(bus),
        now=time.time,
        artifacts_s=settings.artifacts_days * 86_400.0,
        logs_s=settings.logs_days * 86_400.0,
        cache_bytes_max=settings.cache_bytes,
    )


def _turn_news(got: Delivered) -> TurnNews:
    return TurnNews(subjects.run_of(got.subject), decode_turn(got.body))


async def deliver_statuses(bus: Bus, directory: Directory) -> None:
    """One delivery for each Connection, also for those that are added later."""
    async with (
        httpx2.AsyncClient(timeout=FORGE_TIMEOUT_S) as client,
        asyncio.TaskGroup() as group,
    ):
        sender = StatusSender(directory, client, now=time.time, dice=_dice)
        outbox, untold = NatsStatusOutbox(bus), NatsUntoldStatuses(bus)
        retelling = StatusRetelling(outbox, untold, time.time)
        group.create_task(retelling.serve())
        served: dict[str, Connection] = {}
        while True:
            for connection, now in list(directory.connections.items()):
                before = served.get(connection)
                if before is None:
                    queue = outbox_of(bus, connection, directory.name_of)
                    delivery = StatusDelivery(queue, sender, outbox, untold, time.time)
                    group.create_task(delivery.serve())
                elif before == now or not await _told_again(retelling, connection):
                    continue
                served[connection] = now
            await asyncio.sleep(NEW_CONNECTIONS_S)


async def _told_again(retelling: StatusRetelling, connection: str) -> bool:
    """What its Forge refused: it has another token now, or another address. False: not yet."""
    try:
        await retelling.again({connection})
    except Unavailable:
        return False
    except Exception:  # the edge: what somebody stored must not end the host
        log.exception("statuses_not_told_again", connection=connection)
    return True


def _dice() -> float:
    return secrets.randbelow(1_000_000) / 1_000_000


async def first_token(bus: Bus, directory: Directory, data: Path) -> None:
    """An administrator's token for whoever owns the data directory, once, kept there in `token`."""
    path = data / "token"
    if path.exists() and digest_of_secret(path.read_text().strip()) in directory.tokens:
        return
    secret = new_secret()
    token = Token(digest=digest_of_secret(secret), name=owner(), admin=True, created_at=time.time())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    # After the file: a crash between the two makes another token, never a secret that is lost.
    await NatsCatalog(bus).put_token(token)
    directory.tokens[token.digest] = token


async def _serve_http(services: Services) -> None:
    settings = services.settings
    app = create_app(services)
    add_pages(app)
    config = uvicorn.Config(
        RequestsMeasured(Interrupted(HooksFirst(hook_of(services), app)), services.requests),
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
        loop="none",
        lifespan="off",
        ws="websockets-sansio",
    )
    server = _Server(config)
    log.info("host_ready", url=settings.url)
    serving = asyncio.create_task(server.serve())
    try:
        # Cut off, it would leave connections open, and answer on them when nothing works any more.
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await asyncio.wait({serving})


class _Server(uvicorn.Server):
    """Ends when it is told, and leaves signals to the process: both would end it at once."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
