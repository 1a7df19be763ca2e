"""EmbeddedServer: the nats-server that `staunch up` brings along, as a child process.

The server does not lock its store, and two servers on one store destroy it; so we hold a lock file,
and hand the locked descriptor to the child: the lock lives as long as the last of the two.
"""

import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import structlog

from ci_host.adapters.nats.accounts import CONFIG_FILE, FILE, PID_FILE, USER, write_accounts
from ci_host.adapters.nats.half_made import put_aside
from ci_host.adapters.nats.monitoring import ask
from ci_host.parting import die_with_parent

LOOPBACK = "127.0.0.1"
EVERYWHERE = (LOOPBACK, "0.0.0.0", "::")  # noqa: S104  compared with, not listened on
PAYLOAD_BYTES_MAX = 8 * 1024 * 1024
START_TIMEOUT_S = 30.0
READY_LOOK_S = 0.01
STOP_TIMEOUT_S = 10.0
LOCK_WAIT_S = 5.0
PID_BYTES_MAX = 20
CONSUMERS_PER_STREAM_MAX = 20_000
# With less than this free no server is started: it would come up, and store nothing.
ROOM_BYTES_MIN = 16 * 1024 * 1024

CONFIG = """\
server_name: staunch
listen: "{host}:{port}"
http: "127.0.0.1:-1"
ports_file_dir: "{ports}"
pid_file: "{pid_file}"
max_payload: {payload}
write_deadline: "30s"
# Loopback is open to every user of the machine; whoever writes to the bus can open any gate.
include "{accounts}"
{tls}
jetstream {{
  store_dir: "{store}"
  # Every acknowledged message is on the disk. Throughput is won by packing, never by lying here.
  sync_interval: always
  limits {{ default_max_consumers: {consumers} }}
}}
"""

# Runners of other machines insist on it; the installation's own processes are on this one.
TLS = """\
tls {{ cert_file: "{store}/tls.crt", key_file: "{store}/tls.key" }}
allow_non_tls: true
"""


log = structlog.get_logger()


class ServerError(Exception):
    """The embedded nats-server cannot be started; the message says why and what to do."""


class ServerKilled(ServerError):
    """It was started, and somebody killed it before it answered."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`port` 0: any free one. `binary` None: the wheel's, then the PATH's.

    `is_port_wished`: nobody chose the port, it is that of the last life; any other will do.
    `host`: where it listens; not only here, for Runners of other machines, and then with TLS.
    """

    data: Path
    port: int = 0
    binary: Path | None = None
    is_port_wished: bool = False
    host: str = LOOPBACK


class EmbeddedServer:
    """Start with `start()`, or with `launch()` and looks at `is_ready()`; stop with `stop()`. `url`
    is known in between."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._token = ""
        self._monitoring = ""
        self._late_at = 0.0
        self.url = ""

    @property
    def pid(self) -> int:
        """The child's process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> str:
        """Launch it and wait until it is ready. Answers its URL. Raises ServerError."""
        self.launch()
        while not self.is_ready():
            time.sleep(READY_LOOK_S)
        return self.url

    def launch(self) -> None:
        """Lock the store and start the server.

        Raises ServerError: no binary, port taken, store locked, disk full or not writable.
        """
        binary = find_binary(self._settings.binary)
        store, ports = self._store, self._store / "ports"
        try:
            ports.mkdir(parents=True, exist_ok=True)
            _refuse_full_disk(store)
            os.chmod(store, 0o700)
            self._lock = lock_store(store)
            for one in put_aside(store):
                log.warning("half_made_put_aside", path=str(one))
            self._token = kept_token(store / "token")
            if not (store / FILE).exists():
                write_accounts(store, self._token, [])
            if self._settings.host != LOOPBACK:
                # Only where others come: it loads a library that nobody else needs.
                from ci_host.adapters.nats.certificate import ensure_certificate

                ensure_certificate(store)
            config = store / CONFIG_FILE
            config.touch(mode=0o600)
            config.write_text(self._config(store, ports, self._free_port()))
        except OSError as error:
            raise ServerError(
                f"the data directory {store} cannot be used: {error.strerror}; make room or choose"
                " another with --data"
            ) from error
        self._late_at = time.monotonic() + START_TIMEOUT_S
        with self._log_path.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 our own binary and arguments
                [binary, "-c", str(config)],
                stdout=output,
                stderr=output,
                pass_fds=(self._lock,),
                # Its own group: a Ctrl-C in the terminal must not stop it before its clients.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    @property
    def _store(self) -> Path:
        return self._settings.data / "nats"

    @property
    def _log_path(self) -> Path:
        return self._store / "nats-server.log"

    def _config(self, store: Path, ports: Path, port: int) -> str:
        return CONFIG.format(
            host=self._settings.host,
            port=port or -1,
            ports=ports,
            pid_file=store / PID_FILE,
            store=store / "js",
            payload=PAYLOAD_BYTES_MAX,
            consumers=CONSUMERS_PER_STREAM_MAX,
            accounts=FILE,
            tls="" if self._settings.host == LOOPBACK else TLS.format(store=store),
        )

    def _free_port(self) -> int:
        """The port of the settings. Raises ServerError if somebody has it, and it was chosen."""
        if not self._settings.port:
            return 0
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._settings.host, self._settings.port))
            except OSError as error:
                if self._settings.is_port_wished:
                    return 0
                self._unlock()
                raise ServerError(
                    f"port {self._settings.port} is taken by another process; choose another with"
                    " --nats-port, or 0 for any free one"
                ) from error
        return self._settings.port

    def is_ready(self) -> bool:
        """Whether it answers; then `url` is known. Raises ServerError: it has ended, or is late;
        ServerKilled."""
        assert self._process is not None
        code = self._process.poll()
        if code is not None:
            self.stop()
            said = _last_lines(self._log_path)
            kind = ServerKilled if code < 0 else ServerError
            raise kind(f"nats-server ended at once with code {code}: {said}")
        found = _ports(self._store / "ports" / f"nats-server_{self._process.pid}.ports")
        if found is not None and _healthy(found["monitoring"][0]):
            self._monitoring = found["monitoring"][0]
            self.url = self._url_of(found["nats"][0].rpartition(":")[2])
            return True
        if time.monotonic() > self._late_at:
            self.stop()
            said = _last_lines(self._log_path)
            raise ServerError(f"nats-server was not ready after {START_TIMEOUT_S:.0f} s: {said}")
        return False

    def _url_of(self, port: str) -> str:
        """For the installation itself: never over another machine's network if it can be helped."""
        host = self._settings.host
        near = LOOPBACK if host in EVERYWHERE else f"[{host}]" if ":" in host else host
        return f"nats://{USER}:{self._token}@{near}:{port}"

    def poll(self) -> int | None:
        """The child's exit code, or None while it runs."""
        return None if self._process is None else self._process.poll()

    def is_stuck(self) -> bool:
        """Whether it says that it cannot store, although there is room.

        A stream that met a full disk takes nothing more in this life of the server. One that has
        not answered yet has said nothing.
        """
        if not self._monitoring:
            return False
        try:
            return _free_bytes(self._settings.data) >= ROOM_BYTES_MIN and _is_ill(self._monitoring)
        except OSError:
            return False

    def kill(self) -> None:
        """End it as a crash does: no goodbye, nothing flushed; then free the store."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.stop()

    def stop(self) -> None:
        """Ask it to end, wait, insist; then free the store."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None
        self._unlock()

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def __enter__(self) -> "EmbeddedServer":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def lock_store(store: Path, wait_s: float = LOCK_WAIT_S) -> int:
    """Take the store's lock and answer the descriptor. Raises ServerError if another keeps it.

    A server that is just being ended by the death of its parent is waited for. Who holds the lock
    is written in it, for people.
    """
    descriptor = os.open(store / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            holder = os.pread(descriptor, PID_BYTES_MAX, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise ServerError(
                f"{store} is in use by another Staunch, process {holder or 'unknown'} (or a"
                " nats-server that outlived it); stop that one first, or choose another directory"
                " with --data"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor


def kept_token(path: Path) -> str:
    """The store's token, made at its first start; a part of the URL that the server answers to."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        token = secrets.token_urlsafe(24)
        temporary = path.with_suffix(".tmp")
        temporary.touch(mode=0o600)
        temporary.write_text(token)
        temporary.replace(path)
        return token


def find_binary(chosen: Path | None) -> str:
    """The nats-server to run: the chosen one, the installed wheel's, or the PATH's."""
    if chosen is not None:
        if not os.access(chosen, os.X_OK):
            raise ServerError(
                f"nats-server is missing: {chosen} is no program that can be run; name another"
                " with --nats-server, or none, to run the one that comes with Staunch"
            )
        return str(chosen)
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("nats-server")
    if found is None:
        raise ServerError(
            "nats-server is missing: reinstall Staunch (its wheel brings one), name one with"
            " --nats-server, or use a running server with STAUNCH_NATS_URL"
        )
    return found


def _ports(path: Path) -> dict[str, list[str]] | None:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return None


def _healthy(monitoring: str) -> bool:
    try:
        with ask(f"{monitoring}/healthz", 1.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _refuse_full_disk(store: Path) -> None:
    free = _free_bytes(store)
    if free < ROOM_BYTES_MIN:
        raise ServerError(
            f"the disk of {store} is full: {free:,} bytes are free, {ROOM_BYTES_MIN:,} are needed;"
            " make room or choose another directory with --data"
        )


def _is_ill(monitoring: str) -> bool:
    """Only what it says counts: one that is too busy to answer is not ill."""
    try:
        with ask(f"{monitoring}/healthz", 5.0):
            return False
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 503
    except OSError:
        return False


def _last_lines(path: Path, lines: int = 3) -> str:
    try:
        return " | ".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
