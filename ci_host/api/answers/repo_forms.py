"""Repo forms: repositories and their forges, deliveries, schedules and badges; the installation."""

from typing import TypedDict

from pipelines.repo import ForgeKind
from pipelines.status import StatusState


class NotCompared(TypedDict):
    """Why a repository's refs are not compared, and since when. `pulls`: only its pull requests."""

    reason: str
    since: float
    pulls: bool


class Repo(TypedDict):
    """A registered repository. `id`: its connection's and the forge's id for it; `webhook`: what
    the forge calls."""

    id: str
    connection: str
    external_id: str
    name: str
    clone_url: str
    webhook: str
    not_compared: NotCompared | None


class RepoWithSecret(Repo):
    """As it is registered now. `secret`: what its webhook signs with; empty: the connection has
    none."""

    secret: str


class Repos(TypedDict):
    """By name. `next`: the following page's `after`."""

    repos: list[Repo]
    next: str | None


class Connection(TypedDict):
    """A configured forge, without its secrets. `secrets`: how many are accepted; `app`: the id of
    a GitHub App; `login`: people log in with it."""

    id: str
    kind: ForgeKind
    api_url: str
    webhook: str
    secrets: int
    has_token: bool
    app: str
    login: bool


class ConnectionWithSecret(Connection):
    """The secret signs the forge's calls."""

    secret: str


class Connections(TypedDict):
    """By id."""

    connections: list[Connection]


class RepoConnected(TypedDict):
    """What was found and done; `missing`: what is left to do by hand. `arrived` null: nobody knows
    whether a call did."""

    connection: str
    repo: str
    external_id: str
    clone_url: str
    webhook: str
    hook: str
    arrived: bool | None
    tested: str
    missing: list[str]


class Alive(TypedDict):
    """The host's process lives."""

    alive: bool


class Ready(TypedDict):
    """The host can work."""

    ready: bool


class Versions(TypedDict):
    """Of what an installation is made of."""

    staunch: str
    python: str
    nats_server: str
    history_codec: int
    read_model: int


class ProcessStart(TypedDict):
    """A process of the host, and when it began."""

    role: str
    incarnation: str
    at: float


class SettingsShown(TypedDict):
    """As they were given at the start, without what is a secret."""

    data: str
    cache: str
    nats: str
    nats_replicas: int
    nats_port: int
    nats_server: str | None
    http_host: str
    http_port: int
    url: str
    shards: int
    engines: int
    hibernate: str
    slots: int
    pool: str
    volumes: dict[str, str]
    egress: list[str]
    blobs: str
    artifacts_days: float
    logs_days: float
    cache_bytes: int
    runners_listen: str
    runners_address: str
    reconcile_s: float
    no_comments: list[str]
    any_event: bool


class ConnectionInUse(Connection):
    """`repos`: how many it has; `trouble`: why their refs are not compared, `since` when."""

    repos: int
    trouble: str | None
    since: float | None


class JobLimitInForce(TypedDict):
    """How many jobs of a pool or of a repository are at work at once."""

    pool: str
    repo: str
    at_once: int


class Installation(TypedDict):
    """What an installation runs with."""

    versions: Versions
    processes: list[ProcessStart]
    settings: SettingsShown
    connections: list[ConnectionInUse]
    limits: list[JobLimitInForce]


class Delivery(TypedDict):
    """One webhook call and what became of it. `state`: received, started, ignored, held or failed;
    `reason`: why it started nothing."""

    id: str
    connection: str
    event: str
    received_at: float
    state: str
    reason: str
    runs: list[str]


class DeliveryAsItCame(Delivery):
    """With its payload; `is_cut`: there is more of it."""

    kind: ForgeKind
    body: str
    is_cut: bool


class Deliveries(TypedDict):
    """Newest first."""

    deliveries: list[Delivery]


class UntoldStatus(TypedDict):
    """What a forge did not take. `may_pass`: it is told again by itself; else `reason` says what
    is to be done first."""

    connection: str
    repo: str
    commit: str
    context: str
    state: StatusState
    description: str
    url: str
    reason: str
    since: float
    may_pass: bool


class UntoldStatuses(TypedDict):
    """The oldest first. `next`: the following page's `after`."""

    statuses: list[UntoldStatus]
    next: str | None


class StatusesToldAgain(TypedDict):
    """How many wait for their forge now."""

    again: int


class ReplayedDelivery(TypedDict):
    """What became of the delivery that was taken once more, `of` another."""

    of: str
    id: str
    connection: str
    state: str
    reason: str
    runs: list[str]
    at: float


class SkippedDue(TypedDict):
    """A due time that began nothing, and why."""

    due: float
    reason: str


class SchedulePause(TypedDict):
    """Who paused a schedule, and when."""

    by: str
    at: float


class Schedule(TypedDict):
    """One schedule. `repo`: the repository's id. `next` null: nothing will be begun."""

    repo: str
    repo_name: str
    pipeline: str
    name: str
    cron: str
    tz: str
    overlap: str
    catch_up: str
    next: float | None
    last_run: str | None
    last_due: float | None
    skipped: SkippedDue | None
    paused: SchedulePause | None


class ScheduleAt(Schedule):
    """With the commit that declares it."""

    ref: str
    commit: str


class Schedules(TypedDict):
    """`next`: the following page's `after`."""

    schedules: list[ScheduleAt]
    next: int | None


class ScheduledRun(TypedDict):
    """The run that an engine begins."""

    run: str


class Badge(TypedDict):
    """Where a repository's badge is; null: nobody sees it. `key`: what its address needs, where it
    is not public."""

    repo: str
    public: bool
    key: str | None
    address: str | None
    markdown: str | None
    by: str
    at: float | None
