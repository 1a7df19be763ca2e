"""Cluster: three real nats-servers on loopback, as deploy/nats/cluster.conf says, kept alive."""

import os
import random
import secrets
import signal
import socket
import subprocess
import urllib.request
from contextlib import suppress
from pathlib import Path

from ci_host.adapters.nats.server import find_binary
from ci_host.parting import die_with_parent

CONFIG = Path(__file__).parents[2] / "deploy" / "nats" / "cluster.conf"
NAMES = ("nats-a", "nats-b", "nats-c")
# Below what the system gives to whoever does not mind which port: a server that comes back after a
# while must find its own still free.
PORTS = range(20_000, 30_000)


class Cluster:
    """Use it with `with`. A server that was killed comes back at the next `revive`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = secrets.token_hex(8)
        ports = free_ports(3 * len(NAMES))
        self._ports = dict(zip(NAMES, ports, strict=False))
        self._routes = dict(zip(NAMES, ports[3:], strict=False))
        self._monitors = dict(zip(NAMES, ports[6:], strict=True))
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self.url = ",".join(
            f"nats://{self._token}@127.0.0.1:{port}" for port in self._ports.values()
        )

    def pids(self) -> dict[str, int]:
        """The living servers by name."""
        return {name: it.pid for name, it in self._servers.items() if it.poll() is None}

    def is_healthy(self) -> bool:
        """Whether all three run, and each has every stream as its leader does."""
        return all(_is_healthy(port) for port in self._monitors.values())

    def kill(self, name: str) -> None:
        """SIGKILL to one of them."""
        self._servers[name].kill()
        self._servers[name].wait()

    def revive(self) -> None:
        """Start every server that does not run."""
        for name in NAMES:
            if name not in self.pids():
                self._start(name)

    def _start(self, name: str) -> None:
        routes = ",".join(f"nats://127.0.0.1:{port}" for port in self._routes.values())
        command = [find_binary(None), "-c", str(CONFIG), "-n", name, "-a", "127.0.0.1"]
        command += ["-p", str(self._ports[name]), "-sd", str(self._folder / name)]
        command += ["-m", str(self._monitors[name])]
        command += ["--cluster", f"nats://127.0.0.1:{self._routes[name]}", "--routes", routes]
        with (self._folder / f"{name}.log").open("ab") as output:
            self._servers[name] = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env={**os.environ, "STAUNCH_NATS_TOKEN": self._token},
                preexec_fn=die_with_parent,
            )

    def __enter__(self) -> "Cluster":
        self.revive()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            with suppress(ProcessLookupError):
                server.send_signal(signal.SIGCONT)
            server.kill()
            server.wait()


def free_ports(count: int) -> list[int]:
    """So many different ports that nobody has now."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"there are no {count} free ports from {PORTS.start} to {PORTS.stop}")


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
