"""Installation: the host's application over a real nats-server, in this process, with a Run in it.

It calls no forge: whatever is asked of one is answered that it is away.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import msgspec
from fastapi import FastAPI

from ci_host.adapters.memory.world import MemoryJobs
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus, expected
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.line import NatsLine
from ci_host.adapters.nats.server import EmbeddedServer
from ci_host.adapters.nats.stores import NatsBundles
from ci_host.adapters.nats.wakeups import NatsWakeUps
from ci_host.adapters.sql.read_model import ReadModel
from ci_host.api.app import create_app
from ci_host.api.services import Services
from ci_host.bootstrap.serving import services_of
from ci_host.engine.dispatcher import Dispatcher
from ci_host.projector import Projector
from ci_host.settings import Settings
from ci_host.web.site import add_pages
from pipelines.ids import RunId, StepKey, job_id
from pipelines.job import Lease, LogChunk
from tests.engine.world import Engine, begin, until
from tests.patience import PATIENCE_S
from tests.servers import SHARDS, bus_of, nats_server

PLAN = """
async def run(event, step):
    await step.do("count", lambda: 3)
    await step.parallel(
        step.gate("ship", approvers=["@ops"], inputs={"percent": int}),
        step.job("build", run="make"),
    )
"""
# A forge that is away, and a time that nobody would wait for in a test.
AWAY = httpx2.MockTransport(lambda _request: httpx2.Response(503))


@dataclass(frozen=True)
class Answer:
    """Of one request; `status` 0: it was not answered in the time that it was given."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Installation:
    """`secret`: an administrator's token. `run` waits at a gate, `job` is one of its jobs; `server`
    is its message server."""

    app: FastAPI
    services: Services
    secret: str
    run: RunId
    server: EmbeddedServer

    @property
    def job(self) -> str:
        return job_id(self.run, StepKey("build"), 1)

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        kind: str = "application/json",
        patience_s: float = PATIENCE_S,
    ) -> Answer:
        """Ask it, and hear at most the beginning of an answer without end."""
        path, _, query = target.partition("?")
        headers = [
            (b"authorization", f"Bearer {self.secret}".encode()),
            (b"content-length", str(len(body)).encode()),
            (b"host", b"ci.test"),
            *([(b"content-type", kind.encode())] if body else []),
        ]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": _unquoted(path),
            "raw_path": path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("ci.test", 80),
        }
        heard: list[dict[str, object]] = []
        asking = asyncio.create_task(self._asked(scope, body, heard))
        done, _ = await asyncio.wait({asking}, timeout=patience_s)
        begun = [int(str(one["status"])) for one in heard if "status" in one]
        if not done:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        else:
            await asking
        return Answer(
            begun[0] if begun else 0, b"".join(bytes(one.get("body", b"")) for one in heard)
        )

    async def _asked(self, scope: dict, body: bytes, heard: list) -> None:
        gone = asyncio.Event()
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict:
            if waiting:
                return waiting.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict) -> None:
            heard.append(message)

        await self.app(scope, receive, send)

    async def put(self, path: str, **body: object) -> None:
        """A setting."""
        answer = await self.ask("PUT", path, json.dumps(body).encode())
        assert answer.status == 200, answer


@asynccontextmanager
async def installation(folder: Path) -> AsyncIterator[Installation]:
    """One that lives as long as the block."""
    with nats_server(folder / "nats") as server:
        async with bus_of(server) as bus, httpx2.AsyncClient(transport=AWAY) as client:
            model = ReadModel(f"sqlite:///{folder / 'read-model.sqlite'}")
            settings = Settings(data=folder, cache=folder, shards=SHARDS)
            dispatcher = Dispatcher(NatsLine(bus), NatsHistory(bus, "host-1"), now=time.time)
            here, _ = await services_of(bus, model, client, settings, "host-1", dispatcher)
            projecting = asyncio.create_task(
                Projector(bus, model, SHARDS, here.news.tell_folded).serve()
            )
            try:
                yield await _furnished(here, bus, folder, server)
            finally:
                projecting.cancel()
                await asyncio.gather(projecting, return_exceptions=True)
                model.close()


async def _furnished(
    here: Services, bus: Bus, folder: Path, server: EmbeddedServer
) -> Installation:
    app = create_app(here)
    add_pages(app)
    run = await _waiting_run(here, bus, folder)
    made = Installation(app, here, (folder / "token").read_text().strip(), run, server)
    await made.put("/api/v1/connections", id="git", kind="git")
    await made.put("/api/v1/connections", id="tea", kind="gitea", api_url="https://tea.test")
    await made.put(
        "/api/v1/repos", connection="git", external_id="1", name="demo", clone_url="/srv/demo"
    )
    await until(lambda: here.model.cursor(subjects.LEASES))
    return made


async def _waiting_run(here: Services, bus: Bus, folder: Path) -> RunId:
    wakes = NatsWakeUps(bus, list(range(SHARDS)))
    engine = Engine(here.history, wakes, MemoryJobs(), NatsBundles(bus), folder, "life-1")  # type: ignore[arg-type]
    await wakes.start()
    run = await begin(here.history, here.bundles, PLAN)  # type: ignore[arg-type]
    await until(lambda: here.history.last_turn(run))
    job = job_id(run, StepKey("build"), 1)
    lease = Lease(job=job, key="build", runner="r1", started_at=5.0)
    await bus.publish(subjects.lease(job), msgspec.json.encode(lease), expected(0))
    line = LogChunk(offset=0, size=6, at=5.0, text="hello\n")
    await bus.publish(subjects.log(job), msgspec.json.encode(line))
    await engine.kill()
    await wakes.stop()
    return run


def _unquoted(path: str) -> str:
    # As servers do: what is no UTF-8 stays visible.
    return httpx2.URL(f"http://x{path}").path
