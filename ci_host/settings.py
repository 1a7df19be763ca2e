"""Settings: what an installation is told, as plain records. Read by the command line, not here."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import msgspec

from pipelines.ids import SHARDS_DEFAULT

HTTP_PORT_DEFAULT = 8765
RECONCILE_S_DEFAULT = 300.0
PROCESS_VARIABLE = "STAUNCH_PROCESS"
SECRETS_KEY_VARIABLE = "STAUNCH_SECRETS_KEY"
# OpenTelemetry's own names for where a collector is. All that begin so are the host's only: one
# holds keys. https://opentelemetry.io/docs/languages/sdk-configuration/otlp-exporter/
OTLP_VARIABLES = "OTEL_EXPORTER_OTLP_"
OTLP_ENDPOINTS = (f"{OTLP_VARIABLES}TRACES_ENDPOINT", f"{OTLP_VARIABLES}ENDPOINT")


class Hibernate(StrEnum):
    """When a waiting Run's Tenant is let go of: to go on, it is replayed from its History.

    IDLE: when it has waited for a while, or others need the room. ALWAYS: after every Turn. VERIFY:
    as IDLE, and every Turn is decided a second time by a Tenant that was replayed for it; the Run
    fails before anything is recorded if the two differ.
    """

    IDLE = "idle"
    ALWAYS = "always"
    VERIFY = "verify"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One installation.

    `data` is where everything is kept; `cache` holds what can be built again (the guest image).
    `nats_url` None: the embedded server, on `nats_port` (0: any free one, then kept); else one URL,
    or those of a cluster's servers with commas between, of which `nats_replicas` keep each message.
    `base_url` is what people's browsers and forges use; None: the address that the host listens on.
    `blobs`: the blob store of artifacts and caches; empty: a folder of `data`. Artifacts are kept
    for `artifacts_days`, logs for `logs_days`, of caches `cache_bytes` for each Repo.
    `runners_listen`: host and port at which the embedded server awaits Runners of other machines;
    empty: it does not. `runners_address`: what these are told, if it is another one.
    `reconcile_s`: how often each Repo's refs are compared with what was told of them; 0: never.
    `no_comments`: where nothing is written under pull requests: `all`, connections, Repos' names
    or ids. `any_event`: a start by hand may be told as any event, which is nobody's but the one
    whose machine it is: rules for environments go by what a forge says of a Run.
    """

    data: Path
    cache: Path
    nats_url: str | None = None
    nats_replicas: int = 1
    nats_port: int = 0
    nats_server: Path | None = None
    http_host: str = "127.0.0.1"
    http_port: int = HTTP_PORT_DEFAULT
    base_url: str | None = None
    shards: int = SHARDS_DEFAULT
    engines: int = 1
    hibernate: Hibernate = Hibernate.IDLE
    slots: int = 2
    pool: str = "default"
    volumes: dict[str, Path] = {}
    egress: list[str] = []
    blobs: str = ""
    artifacts_days: float = 90.0
    logs_days: float = 365.0
    cache_bytes: int = 10_737_418_240
    runners_listen: str = ""
    runners_address: str = ""
    reconcile_s: float = RECONCILE_S_DEFAULT
    no_comments: list[str] = []
    any_event: bool = False
    opening: Path | None = None

    @property
    def blobs_url(self) -> str:
        """Where artifacts are kept, as an address of a folder or a bucket."""
        return self.blobs or (self.data / "blobs").as_uri()

    @property
    def listens(self) -> tuple[str, int]:
        """Where the embedded server listens for Runners of other machines."""
        host, _, port = self.runners_listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def bus_address(self) -> str:
        """Where these find it; empty: they do not."""
        found = self.runners_address or self.runners_listen
        return f"tls://{found}" if found else ""

    @property
    def url(self) -> str:
        """Where people and forges find the host."""
        return (self.base_url or f"http://{self.http_host}:{self.http_port}").rstrip("/")


def may_comment(no_comments: list[str], connection: str, repo: str, name: str) -> bool:
    """Whether anything may be written under the pull requests of a Repo, by its id and name."""
    owner = f"{connection}:{name.rpartition('/')[0]}"
    return not {"all", connection, owner, repo, name} & set(no_comments)


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor tells one process: the installation, and this process's part.

    `index` counts the engines; nobody else serves these shards. Where the bus is, it is told on its
    standard input, once the bus is there.
    """

    settings: Settings
    index: int = 0
    shards: list[int] = []


def encode(value: ProcessSettings) -> str:
    """As the text of one environment variable, PROCESS_VARIABLE."""
    return msgspec.json.encode(value, enc_hook=str).decode()


def decode(text: str) -> ProcessSettings:
    """The inverse of `encode`."""
    return msgspec.json.decode(text, type=ProcessSettings, dec_hook=_path)


def _path(kind: type, value: object) -> object:
    assert kind is Path, kind
    return Path(str(value))


def is_traced(environment: Mapping[str, str]) -> bool:
    """Whether a collector of traces is named."""
    return any(environment.get(name) for name in OTLP_ENDPOINTS)


def is_hosts_own(variable: str) -> bool:
    """Whether a variable of the environment is for the host alone."""
    return variable == SECRETS_KEY_VARIABLE or variable.startswith(OTLP_VARIABLES)
