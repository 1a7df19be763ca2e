"""Services: what the routes need, put together once by `bootstrap/serving.py`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx2

from ci_host.adapters.nats.audit import NatsAudit
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.sessions import NatsSessions
from ci_host.adapters.nats.stores import NatsCatalog, NatsInbox
from ci_host.adapters.nats.timetables import NatsTimetables
from ci_host.adapters.sql.read_model import ReadModel
from ci_host.api.beginnings import Beginnings
from ci_host.api.device_logins import DeviceLogins
from ci_host.api.etags import Told
from ci_host.api.forge_levels import ForgeLevels
from ci_host.api.log_places import LogPlaces
from ci_host.api.logins import Logins
from ci_host.api.news import News
from ci_host.api.requests_measured import RequestNumbers
from ci_host.blob_ports import BlobReader
from ci_host.engine.admissions import Admissions
from ci_host.engine.dispatcher import Dispatcher
from ci_host.engine.forks import Forks
from ci_host.engine.people import People
from ci_host.engine.registrations import Registrations
from ci_host.engine.reruns import Reruns
from ci_host.engine.schedule_acts import ScheduleActs
from ci_host.engine.secrets import Secrets
from ci_host.engine.shells import Shells
from ci_host.engine.status_delivery import StatusRetelling
from ci_host.engine.subscription_delivery import Tried
from ci_host.ports import Bundles
from ci_host.ref_ports import Sights
from ci_host.secret_ports import SigningKeys
from ci_host.settings import Settings
from ci_host.shell_ports import ShellLines, ShellStore
from ci_host.status_ports import UntoldStatuses
from ci_host.trust_ports import TrustStore
from ci_host.view_ports import SavedViews


@dataclass(frozen=True, slots=True)
class Services:
    """One per host process."""

    settings: Settings
    bus: Bus
    history: NatsHistory
    catalog: NatsCatalog
    inbox: NatsInbox
    directory: Directory
    model: ReadModel
    people: People
    reruns: Reruns
    forks: Forks
    bundles: Bundles
    blobs: BlobReader
    news: News
    beginnings: Beginnings
    timetables: NatsTimetables
    sights: Sights
    schedules: ScheduleActs
    secrets: Secrets
    registrations: Registrations
    signing_keys: SigningKeys
    dispatcher: Dispatcher
    shells: Shells
    shell_store: ShellStore
    shell_lines: ShellLines
    admissions: Admissions
    trust: TrustStore
    audit: NatsAudit
    sessions: NatsSessions
    levels: ForgeLevels
    views: SavedViews
    untold: UntoldStatuses
    retelling: StatusRetelling
    # The last tries of each Subscription, newest first, of this process's life.
    tries: dict[str, Sequence[Tried]]
    logins: Logins
    device_logins: DeviceLogins
    requests: RequestNumbers
    http: httpx2.AsyncClient
    now: Callable[[], float]
    new_id: Callable[[], str]
    places: LogPlaces = field(default_factory=LogPlaces)
    told: Told = field(default_factory=Told)
