"""Supervisor: what `staunch up` is. It starts every process of an installation and keeps it alive.

It does none of the work. A child that dies is started again, with a growing pause while it keeps
dying; the others go on. Job shims are not its children: they outlive it, and are found again.
Nothing that happens to a child or to the disk ends it: what cannot be done now is tried again.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from ci_host.adapters.nats.server import (
    LOOPBACK,
    READY_LOOK_S,
    EmbeddedServer,
    ServerError,
    ServerKilled,
    ServerSettings,
    lock_store,
)
from ci_host.child import Child
from ci_host.held import TOLD, Held
from ci_host.ports import Unavailable
from ci_host.running import FILE as RUNNING
from ci_host.running import RunningState
from ci_host.settings import (
    PROCESS_VARIABLE,
    ProcessSettings,
    Settings,
    encode,
)

PAUSE_S_FIRST = 0.1
PAUSE_S_MAX = 10.0
PAUSE_S_SERVER = 1.0
HEALTH_S = 2.0
HEALTH_S_MAX = 60.0
STEADY_S = 5.0
# What a supervisor that was killed has left behind is ending, and still holds its ports.
PORT_WAIT_S = 5.0
ANSWERS_S = 0.05
STOP_TIMEOUT_S = 10.0
# Not of the command line, which takes longer to load than the agent itself.
RUNNER_VARIABLE = "STAUNCH_RUNNER_OPTIONS"
# How often a server that is killed before it answers is begun with: more is no accident.
BEGINNINGS = 5

log = structlog.get_logger()

Found = Callable[[str, int, int], Coroutine[None, None, None]]


class Supervisor:
    """Run with `run()` until cancelled or told to stop by a signal."""

    def __init__(self, settings: Settings, on_ready: Callable[[RunningState], None]) -> None:
        self._settings = settings
        self._on_ready = on_ready
        self._server: EmbeddedServer | None = None
        self._server_pid: int | None = None
        self._nats_url = settings.nats_url or ""
        self._children: list[Child] = []
        self._stopping = asyncio.Event()
        self._answering: asyncio.Task[None] | None = None
        self._held = Held()

    async def run(self) -> None:
        """Start everything, keep it alive, stop it in order. Raises ServerError, Unavailable."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        tasks: list[asyncio.Task[None]] = []
        try:
            self._prepare()
            self._children = self._plan()
            # They load their code while the bus comes up, and wait to be told where it is.
            tasks = [asyncio.create_task(self._keep(child)) for child in self._children]
            founding = asyncio.create_task(asyncio.to_thread(_load_founding))
            if not await self._unless_told(self._server_begun()):
                return
            self._tell_state()
            if self._server is not None:
                # From now on: a server may die while the streams are made, too.
                tasks.append(asyncio.create_task(self._keep_server()))
            if not await self._unless_told(self._make_streams(founding)):
                return
            self._held.release(self._nats_url.encode())
            self._tell_state()
            if self._server is not None:
                tasks.append(asyncio.create_task(self._keep_storing()))
            await self._until_told(tasks)
        finally:
            tasks += [] if self._answering is None else [self._answering]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._held.release(b"")
            await self._stop_children()
            if self._server is not None:
                await asyncio.to_thread(self._server.stop)
            if tasks:
                with suppress(OSError):
                    (self._settings.data / RUNNING).unlink()

    async def _until_told(self, tasks: "list[asyncio.Task[None]]") -> None:
        """Until a signal comes. A keeper never ends; one that does is a bug, and not hidden."""
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in done - {stopping}:
            task.result()

    def _prepare(self) -> None:
        """The data directory, the embedded server, and the port that the host will want."""
        data = self._settings.data
        try:
            data.mkdir(parents=True, exist_ok=True)
            os.chmod(data, 0o700)
        except OSError as error:
            raise ServerError(
                f"the data directory {data} cannot be used: {error.strerror}; choose another with"
                " --data"
            ) from error
        if self._settings.nats_url:
            # For as long as this process lives; with an embedded server its store's lock does it.
            lock_store(data)
        else:
            kept = _kept_port(data / "nats-port")
            chosen = self._settings.nats_port
            if self._settings.runners_listen:
                chosen = self._settings.listens[1]
            self._start_server(chosen or kept, is_wished=not chosen)
        _refuse_taken_port(self._settings.http_host, self._settings.http_port)

    def _start_server(self, port: int, *, is_wished: bool) -> None:
        data, binary = self._settings.data, self._settings.nats_server
        host = self._settings.listens[0] if self._settings.runners_listen else LOOPBACK
        self._server = EmbeddedServer(ServerSettings(data, port, binary, is_wished, host))
        self._launch()

    def _launch(self) -> None:
        """On the main thread: the server is told to end when the thread that started it does."""
        assert self._server is not None
        try:
            self._server.launch()
        except OSError as error:
            raise ServerError(f"nats-server cannot be started: {error}") from error
        self._server_pid = self._server.pid

    async def _server_begun(self) -> None:
        """Until the first one of ours answers. Raises ServerError."""
        for _ in range(BEGINNINGS - 1):
            try:
                return await self._server_ready()
            except ServerKilled as killed:
                log.error("nats_server_died", reason=str(killed))  # noqa: TRY400
                self._launch()
                self._tell_state()
        await self._server_ready()

    async def _server_ready(self) -> None:
        """Until the one of ours answers. Raises ServerError, ServerKilled."""
        server = self._server
        if server is None:
            return
        # It says so in a file, and of a file there is no news.
        while not await asyncio.to_thread(server.is_ready):  # noqa: ASYNC110
            await asyncio.sleep(READY_LOOK_S)
        self._nats_url = server.url
        # The same port after a restart: clients that outlived the server find it again.
        with suppress(OSError):
            (self._settings.data / "nats-port").write_text(self._nats_url.rpartition(":")[2])

    async def _unless_told(self, work: Coroutine[None, None, None]) -> bool:
        """Do it. False: we were told to stop before it was done."""
        stopping = asyncio.create_task(self._stopping.wait())
        doing = asyncio.create_task(work)
        await asyncio.wait({stopping, doing}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if doing.done():
            doing.result()
            return True
        doing.cancel()
        await asyncio.wait({doing})
        return False

    async def _make_streams(self, founding: "asyncio.Task[Found]") -> None:
        """Make them; once more if the server of ours that was asked has died meanwhile."""
        settings, found = self._settings, await founding
        while True:
            asked = self._server_pid
            try:
                return await found(self._nats_url, settings.shards, settings.nats_replicas)
            except Unavailable as reason:
                if self._server is None or (asked is not None and asked == self._server_pid):
                    raise
                log.warning("streams_made_again", reason=str(reason))

    async def _keep_server(self) -> None:
        assert self._server is not None
        port = int(self._nats_url.rpartition(":")[2])
        while True:
            if self._server_pid is not None:
                await ended(self._server_pid)
                log.error("nats_server_died", code=self._server.poll())
            self._server_pid = None
            self._server.stop()
            try:
                # The others know this address and no other.
                self._start_server(port, is_wished=False)
                await self._server_ready()
            except ServerError as error:
                log.error("nats_server_does_not_start", reason=str(error))  # noqa: TRY400
                self._server_pid = None
                await asyncio.sleep(PAUSE_S_SERVER)
            self._tell_state()

    async def _keep_storing(self) -> None:
        """End a server that met a full disk, once there is room again: it is started anew."""
        pause, was_stuck = HEALTH_S, False
        while True:
            await asyncio.sleep(pause)
            server, pid = self._server, self._server_pid
            if server is None or pid is None:
                continue
            is_stuck = await asyncio.to_thread(server.is_stuck)
            if not is_stuck:
                pause = HEALTH_S
            elif was_stuck and pid == self._server_pid:
                log.error("nats_server_cannot_store", action="it is started anew")
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                pause = min(pause * 2, HEALTH_S_MAX)
            was_stuck = is_stuck

    def _plan(self) -> list[Child]:
        settings = self._settings
        python = [sys.executable, "-m"]
        # What they are told goes by the environment, and the bus, whose token is a secret, by their
        # standard input: every user of the machine can read arguments.
        host = [*python, "ci_host", "process", "host"]
        engine = [*python, "ci_host", "process", "engine"]
        return [
            # First, as Runs are waiting; what the host needs takes longest to load.
            *(
                Child(f"engine-{index}", engine, {PROCESS_VARIABLE: self._told(index)})
                for index in range(settings.engines)
            ),
            Child("host", host, {PROCESS_VARIABLE: self._told(0)}),
            Child(
                "runner",
                [*python, "runners.bootstrap"],
                {RUNNER_VARIABLE: runner_options(settings)},
            ),
        ]

    def _told(self, index: int) -> str:
        settings = self._settings
        process = ProcessSettings(
            settings=settings,
            index=index,
            shards=[k for k in range(settings.shards) if k % settings.engines == index],
        )
        return encode(process)

    async def _keep(self, child: Child) -> None:
        pause = PAUSE_S_FIRST
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                process = await child.start(self._settings.data, self._held)
            except OSError as error:
                log.error("process_does_not_start", name=child.name, reason=str(error))  # noqa: TRY400
            else:
                self._tell_state()
                code = await process.wait()
                log.error("process_died", name=child.name, code=code)
            pause = PAUSE_S_FIRST if loop.time() - began > STEADY_S else min(pause * 2, PAUSE_S_MAX)
            await asyncio.sleep(pause)

    def _tell_state(self) -> None:
        pids = {c.name: c.process.pid for c in self._children if c.process is not None}
        if self._server_pid is not None:
            pids["nats-server"] = self._server_pid
        state = RunningState(self._settings.url, self._nats_url, os.getpid(), pids)
        path = self._settings.data / RUNNING
        temporary = path.with_suffix(".tmp")
        try:
            temporary.touch(mode=0o600)
            temporary.write_bytes(msgspec.json.encode(state))
            temporary.replace(path)
        except OSError as error:
            log.error("state_not_written", path=str(path), reason=str(error))  # noqa: TRY400
        is_whole = len(pids) > len(self._children) - (self._server is None) and self._nats_url
        if is_whole and self._answering is None:
            self._answering = asyncio.create_task(self._tell_ready(state))

    async def _tell_ready(self, state: RunningState) -> None:
        """Once the host answers: by then its first token is there, too."""
        while True:
            with suppress(OSError):
                place = (self._settings.http_host, self._settings.http_port)
                _, writer = await asyncio.open_connection(*place)
                writer.close()
                break
            await asyncio.sleep(ANSWERS_S)
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


def runner_options(settings: Settings) -> str:
    """By the names that a runner's settings have. What nobody chose is left to its environment."""
    options = {
        "nats": TOLD,
        "data": str(settings.data / "runner"),
        "pool": settings.pool,
        "slots": settings.slots,
        "blobs": settings.blobs_url,
        "volumes": {name: str(path) for name, path in settings.volumes.items()},
        "egress": settings.egress,
    }
    chosen = {name: value for name, value in options.items() if value not in ([], {})}
    return msgspec.json.encode(chosen).decode()


def _load_founding() -> Found:
    """In a thread while the server starts, which takes as long: who comes first need not wait."""
    from ci_host.adapters.nats.founding import found

    return found


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
    """The embedded server's last port."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _refuse_taken_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + PORT_WAIT_S
    while True:
        try:
            with socket.create_server((host, port), family=family):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                # Python adds the address to the reason, which says it a second time.
                reason = str(error.strerror).partition(" (while ")[0]
                raise ServerError(
                    f"the host cannot listen on {host} port {port}: {reason}; end what listens"
                    " there, or choose another with --port"
                ) from error
            time.sleep(0.05)
