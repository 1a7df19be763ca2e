"""Supervisor: what `staunch up` is. It starts every process of an installation and keeps it alive.

It does none of the work. A child that dies is started again, with a growing pause while it keeps
dying; the others go on. Job shims are not its children: they outlive it, and are found again.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec
import structlog

from ci_host.adapters.nats.bus import connect
from ci_host.adapters.nats.server import EmbeddedServer, ServerSettings, die_with_parent
from ci_host.adapters.nats.streams import ensure_streams
from ci_host.settings import ProcessSettings, Settings, encode

PAUSE_S_FIRST = 0.1
PAUSE_S_MAX = 10.0
STEADY_S = 30.0
STOP_TIMEOUT_S = 10.0

log = structlog.get_logger()


class RunningState(msgspec.Struct, frozen=True):
    """`running.json` in the data directory: where this installation is, and its process ids."""

    url: str
    nats_url: str
    supervisor: int
    processes: dict[str, int]


@dataclass(slots=True)
class Child:
    """One supervised process: how to start it, and its life so far."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None


class Supervisor:
    """Run with `run()` until cancelled or told to stop by a signal."""

    def __init__(self, settings: Settings, on_ready: Callable[[RunningState], None]) -> None:
        self._settings = settings
        self._on_ready = on_ready
        self._server: EmbeddedServer | None = None
        self._nats_url = settings.nats_url or ""
        self._children: list[Child] = []
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Start everything, keep it alive, stop it in order. Raises ServerError, Unavailable."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        self._settings.data.mkdir(parents=True, exist_ok=True)
        os.chmod(self._settings.data, 0o700)
        self._start_server()
        await self._make_streams()
        self._children = self._plan()
        tasks = [asyncio.create_task(self._keep(child)) for child in self._children]
        if self._server is not None:
            tasks.append(asyncio.create_task(self._keep_server()))
        try:
            await self._stopping.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._stop_children()
            if self._server is not None:
                await asyncio.to_thread(self._server.stop)
            with suppress(OSError):
                (self._settings.data / "running.json").unlink()

    def _start_server(self) -> None:
        if self._settings.nats_url:
            return
        port_file = self._settings.data / "nats-port"
        port = self._settings.nats_port or _kept_port(port_file)
        chosen = ServerSettings(self._settings.data, port, self._settings.nats_server)
        self._server = EmbeddedServer(chosen)
        # On this thread: the server is told to end when the thread that started it does.
        self._nats_url = self._server.start()
        # The same port after a restart: clients that outlived the server find it again.
        port_file.write_text(self._nats_url.rpartition(":")[2])

    async def _make_streams(self) -> None:
        bus = await connect(self._nats_url, name="supervisor")
        try:
            await ensure_streams(bus.js, self._settings.shards)
        finally:
            await bus.close()

    async def _keep_server(self) -> None:
        assert self._server is not None
        while True:
            await ended(self._server.pid)
            log.error("nats_server_died", code=self._server.poll())
            self._server.stop()
            self._start_server()
            self._tell_state()

    def _plan(self) -> list[Child]:
        settings = self._settings
        python = [sys.executable, "-m"]
        children = [Child("host", [*python, "ci_host", "process", "host", self._told(0)])]
        for index in range(settings.engines):
            command = [*python, "ci_host", "process", "engine", self._told(index)]
            children.append(Child(f"engine-{index}", command))
        children.append(Child("runner", self._runner_command(python)))
        return children

    def _told(self, index: int) -> str:
        settings = self._settings
        process = ProcessSettings(
            settings=settings,
            nats_url=self._nats_url,
            index=index,
            shards=[k for k in range(settings.shards) if k % settings.engines == index],
            exclusive=settings.nats_url is None,
        )
        return encode(process)

    def _runner_command(self, python: list[str]) -> list[str]:
        settings = self._settings
        command = [*python, "runners", "agent", "--nats", self._nats_url]
        command += ["--data", str(settings.data / "runner"), "--pool", settings.pool]
        command += ["--slots", str(settings.slots)]
        for name, path in settings.volumes.items():
            command += ["--volume", f"{name}={path}"]
        return command

    async def _keep(self, child: Child) -> None:
        pause = PAUSE_S_FIRST
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            with _log_file(self._settings.data, child.name) as output:
                child.process = await asyncio.create_subprocess_exec(
                    *child.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=asyncio.subprocess.STDOUT,
                    preexec_fn=die_with_parent,
                )
            self._tell_state()
            code = await child.process.wait()
            log.error("process_died", name=child.name, code=code)
            pause = PAUSE_S_FIRST if loop.time() - began > STEADY_S else min(pause * 2, PAUSE_S_MAX)
            await asyncio.sleep(pause)

    def _tell_state(self) -> None:
        pids = {c.name: c.process.pid for c in self._children if c.process is not None}
        if self._server is not None:
            pids["nats-server"] = self._server.pid
        state = RunningState(self._settings.url, self._nats_url, os.getpid(), pids)
        path = self._settings.data / "running.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.encode(state))
        temporary.replace(path)
        if len(pids) > len(self._children) - (self._server is None):
            self._on_ready(state)

    async def _stop_children(self) -> None:
        living = [c.process for c in self._children if c.process and c.process.returncode is None]
        for process in living:
            with suppress(ProcessLookupError):
                process.terminate()
        for process in living:
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def ended(pid: int) -> None:
    """Wait for the end of a child process, without looking again and again."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    descriptor = os.pidfd_open(pid)
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _kept_port(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _log_file(data: Path, name: str) -> BinaryIO:
    folder = data / "logs"
    folder.mkdir(exist_ok=True)
    return (folder / f"{name}.log").open("ab")


def read_state(data: Path) -> RunningState | None:
    """Where the installation in this directory runs, or None."""
    try:
        return msgspec.json.decode((data / "running.json").read_bytes(), type=RunningState)
    except (OSError, msgspec.MsgspecError):
        return None
