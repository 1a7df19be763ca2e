"""Engines: each peer started for one measurement, with its durability as it comes or as said."""

import os
import shutil
import socket
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.peers import place
from tests.demo.installation import free_port

READY_S = 60.0
RUNS = "50"
# SQLite takes one writer at a time: more runs at once only wait for each other.
RUNS_SQLITE = "8"


class NotHere(Exception):
    """This peer cannot be measured on this machine; the message says what it lacks."""


@dataclass(frozen=True)
class Peer:
    """`open(folder)` starts it and gives the command that measures it."""

    name: str
    durability: str
    open: Callable[[Path], AbstractContextManager[Sequence[str]]]


@contextmanager
def running(command: Sequence[str | Path], folder: Path, **environment: str) -> Iterator[None]:
    """A server as a child, ended with the block; what it says is in `server.log`."""
    with (folder / "server.log").open("ab") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, env={**os.environ, **environment}
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_port(port: int) -> None:
    """Until somebody listens there. Raises NotHere."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise NotHere(f"nobody listened on port {port} in {READY_S:.0f} s")


def script(name: str, *arguments: object) -> list[str]:
    """The command that runs a peer's own measuring script."""
    return [str(place.PYTHON), str(place.HERE / name), *map(str, arguments)]


@contextmanager
def dbos_sqlite(folder: Path) -> Iterator[Sequence[str]]:
    """In one process, as shipped: a rollback journal."""
    yield script("dbos_peer.py", f"sqlite:///{folder}/dbos.sqlite", RUNS_SQLITE)


@contextmanager
def dbos_wal(folder: Path) -> Iterator[Sequence[str]]:
    """The same with the journal mode that most people set."""
    with sqlite3.connect(folder / "dbos.sqlite") as database:
        database.execute("PRAGMA journal_mode=WAL")
    database.close()
    yield script("dbos_peer.py", f"sqlite:///{folder}/dbos.sqlite", RUNS_SQLITE)


@contextmanager
def dbos_postgres(folder: Path) -> Iterator[Sequence[str]]:
    """A PostgreSQL of its own, as shipped: fsync and synchronous_commit on."""
    programs = place.postgres()
    if programs is None:
        raise NotHere("PostgreSQL is not installed (apt install postgresql)")
    data, port = folder / "pg", free_port()
    data.mkdir()
    # It refuses to run as root.
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(data, "postgres")
        for above in [folder, *folder.parents[:-1]]:
            with suppress(OSError):
                above.chmod(above.stat().st_mode | 0o011)
    initdb = [programs / "initdb", "-D", data, "-A", "trust", "-U", "bench"]
    subprocess.run([*user, *initdb], check=True, stdout=subprocess.DEVNULL)
    server = [programs / "postgres", "-D", data, "-p", str(port), "-k", data, "-h", "127.0.0.1"]
    with running([*user, *server], folder):
        wait_port(port)
        create = [programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "bench", "dbos"]
        subprocess.run(create, check=True)
        yield script("dbos_peer.py", f"postgresql://bench@127.0.0.1:{port}/dbos", RUNS)


@contextmanager
def restate(folder: Path) -> Iterator[Sequence[str]]:
    """Its server and a Python service; its own defaults."""
    program = place.binary("restate-server")
    if program is None:
        raise NotHere("npm is not installed, or there is no Restate server for this platform")
    ingress, admin, node, service = (free_port() for _ in range(4))
    where = {
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
    }
    with running([program, "--base-dir", folder / "data"], folder, **where):
        wait_port(admin)
        wait_port(ingress)
        urls = [f"http://127.0.0.1:{port}" for port in (ingress, admin)]
        _wait_healthy(f"{urls[1]}/health")
        yield script("restate_peer.py", *urls, service, RUNS)


def _wait_healthy(url: str) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.2)
    raise NotHere(f"{url} was not healthy in {READY_S:.0f} s")


def temporal(kind: str) -> Callable[[Path], AbstractContextManager[Sequence[str]]]:
    """The development server with its SQLite file, and steps of this kind."""

    @contextmanager
    def opened(folder: Path) -> Iterator[Sequence[str]]:
        port = free_port()
        server = [place.PYTHON.with_name("temporal"), "server", "start-dev", "--headless"]
        server += ["--port", str(port), "--db-filename", folder / "temporal.db"]
        with running([*server, "--log-level", "error"], folder):
            wait_port(port)
            yield script("temporal_peer.py", kind, f"127.0.0.1:{port}", RUNS)

    return opened


@contextmanager
def workerd(folder: Path) -> Iterator[Sequence[str]]:
    """Its built-in workflow engine, with a SQLite file for each run."""
    program = place.binary("workerd")
    if program is None:
        raise NotHere("npm is not installed, or there is no workerd for this platform")
    for name in ("wrangler.json", "worker.js"):
        shutil.copy(place.HERE / "workerd" / name, folder)
    port = free_port()
    serve = [program, "serve", "--experimental", "wrangler.json"]
    with running([*serve, f"--socket-addr=http=127.0.0.1:{port}"], folder):
        wait_port(port)
        yield script("workerd_peer.py", f"http://127.0.0.1:{port}", RUNS)


PEERS = (
    Peer("Cloudflare workerd", "SQLite per run, synced before and after a step", workerd),
    Peer("Restate", "its defaults: a log that is synced", restate),
    Peer("DBOS on PostgreSQL", "fsync=on, synchronous_commit=on", dbos_postgres),
    Peer("DBOS on SQLite", "rollback journal, synchronous=2", dbos_sqlite),
    Peer("DBOS on SQLite (WAL)", "WAL, synchronous=2", dbos_wal),
    Peer("Temporal dev server", "SQLite file; steps are activities", temporal("activity")),
    Peer("Temporal dev server (local)", "SQLite file; local activities", temporal("local")),
)
