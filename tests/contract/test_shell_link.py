"""Every way to terminals of a runner's jobs keeps the same promises, and the agent uses them."""

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from pipelines import shell
from pipelines.shell import (
    ALIVE,
    ENDED,
    RESIZED,
    SAID,
    SHOWN,
    TYPED,
    UNSEEN_BYTES_MAX,
    ShellAsked,
    ShellTold,
    Standby,
)
from pipelines.trust import Tier
from runners import job_directory
from runners.executors.process import Process
from runners.link.nats import NatsLink
from runners.memory import MemoryShells
from runners.terminals import Terminals
from tests.executor_bench import UID_BASE, Bench
from tests.patience import PATIENCE_S
from tests.runner_world import make_spec, until, world

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

RUNNER = "runner-1"
ANSWER_S = 8.0


@dataclass
class Host:
    """A host's end: what it heard of one session."""

    told: ShellTold | None
    said: list[bytes]
    type: Any
    leave: Any

    @property
    def text(self) -> str:
        return b"".join(one[1:] for one in self.said if one[:1] == SAID).decode(errors="replace")

    @property
    def ended(self) -> str:
        return next((one[1:].decode() for one in self.said if one[:1] == ENDED), "")


@dataclass
class Way:
    """A link, and a host on its other side."""

    link: Any
    dial: Any
    standby: Any


@asynccontextmanager
async def memory():
    link = MemoryShells()

    async def dial(asked: ShellAsked) -> Host:
        visit = link.visit(asked)
        await until(lambda: visit.told, "an answer")

        async def type_(frame: bytes) -> None:
            visit.type(frame)

        return Host(visit.told, visit.said, type_, None)

    async def standby(job: str) -> Standby | None:
        return link.standing_by.get(job)

    yield Way(link, dial, standby)


@asynccontextmanager
async def on_the_bus():
    async with world() as bus:
        body = msgspec.json.encode(
            {"name": "SHELLS", "subjects": ["standby.>"], "allow_direct": True, "storage": "file"}
        )
        await bus.client.request("$JS.API.STREAM.CREATE.SHELLS", body, timeout=PATIENCE_S)
        made = await NatsLink.connect(bus.server.url, pool="default", name="test")

        async def dial(asked: ShellAsked) -> Host:
            said: list[bytes] = []

            async def heard(message) -> None:
                said.append(message.data)

            out = shell.said(RUNNER, asked.job, asked.session)
            await bus.client.subscribe(out, cb=heard)
            ask = shell.asks(RUNNER, asked.job)
            await bus.client.publish(ask, msgspec.json.encode(asked))
            # The answer goes where the frames go, before any.
            await until(lambda: said, "an answer", ANSWER_S)
            told = msgspec.json.decode(said.pop(0), type=ShellTold)

            async def type_(frame: bytes) -> None:
                await bus.client.publish(shell.typed(RUNNER, asked.job, asked.session), frame)

            return Host(told, said, type_, None)

        async def standby(job: str) -> Standby | None:
            found = await bus.messages("SHELLS", shell.state(job))
            return msgspec.json.decode(found[-1], type=Standby) if found else None

        yield Way(made.shells_of(RUNNER), dial, standby)
        await made.close()


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def way(request):
    async with memory() if request.param == "memory" else on_the_bus() as made:
        yield made


@pytest.fixture
async def job(way):
    """A job that waits, and an agent's part in its terminals."""
    root = Path(tempfile.mkdtemp(prefix="staunch-terminals-"))
    root.chmod(0o755)
    bench = Bench(root, Process(uid_base=UID_BASE, volumes={}))
    spec = structs.replace(make_spec(None, "exit 3"), wait_s=120.0, tier=Tier.TRUSTED)
    directory = await bench.start(spec)
    serving = asyncio.create_task(Terminals(directory, spec, link=way.link, runner=RUNNER).serve())
    yield bench, spec, directory, serving
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    shutil.rmtree(root, ignore_errors=True)
    await until(lambda: not directory.exists(), "the end of it")


def asked(spec, session: str = "s1", **changes) -> ShellAsked:
    return structs.replace(
        ShellAsked(job=spec.id, session=session, by="ada", term="xterm"), **changes
    )


async def test_that_a_job_waits_is_told_and_a_terminal_works_both_ways(way, job):
    bench, spec, directory, _ = job
    standby = await until(lambda: way.standby(spec.id), "what is told of the wait")
    assert (standby.runner, standby.exit_code) == (RUNNER, 3)
    host = await way.dial(asked(spec))
    assert host.told == ShellTold()
    await host.type(RESIZED + b'{"columns": 77, "rows": 33}')
    await host.type(TYPED + b"echo size:$(stty size | tr ' ' x)\r")
    await until(lambda: "size:33x77" in host.text, "the size")
    assert ALIVE in host.said
    await host.type(TYPED + b"exit 4\r")
    await until(lambda: host.ended, "the end")
    assert host.ended == "the shell ended with exit code 4"
    last = await way.dial(asked(spec, "s2", ends=True))
    assert last.told == ShellTold()
    assert (await bench.end(directory))["exit_code"] == 3


async def test_a_second_one_is_refused_with_who_is_there(way, job):
    _, spec, _, _ = job
    await until(lambda: way.standby(spec.id), "the wait")
    first = await way.dial(asked(spec))
    second = await way.dial(asked(spec, "s2", by="eve"))
    assert "ada has a terminal in this job" in second.told.refused
    await first.type(ENDED)
    again = await until(lambda: _opened(way, asked(spec, "s3")), "another")
    assert again.told == ShellTold()


async def _opened(way: Way, wish: ShellAsked) -> Host | None:
    try:
        host = await way.dial(wish)
    except AssertionError:
        return None  # nobody listened yet
    return host if not host.told.refused else None


async def test_no_more_is_sent_than_somebody_has_seen(way, job):
    _, spec, _, _ = job
    await until(lambda: way.standby(spec.id), "the wait")
    host = await way.dial(asked(spec))
    await host.type(TYPED + b"seq 1 400000; echo al''l\r")

    def sent() -> int:
        return sum(len(one) - 1 for one in host.said if one[:1] == SAID)

    await until(lambda: sent() > UNSEEN_BYTES_MAX, "as much as may be unseen")
    before = len([one for one in host.said if one == ALIVE])
    # Signs of life go on; nothing more is shown meanwhile.
    await until(lambda: host.said.count(ALIVE) > before, "a sign of life")
    assert sent() < 2 * UNSEEN_BYTES_MAX

    async def seen_all() -> bool:
        await host.type(SHOWN + str(sent()).encode())
        return "400000\r\nall" in host.text

    await until(seen_all, "the rest")


async def test_an_agent_that_ends_hangs_up_and_the_next_lets_in_anew(way, job):
    _, spec, directory, serving = job
    await until(lambda: way.standby(spec.id), "the wait")
    host = await way.dial(asked(spec))
    await host.type(TYPED + b"echo he''re\r")
    await until(lambda: "here" in host.text, "the terminal")
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert job_directory.state_of(str(directory)) == job_directory.RUNNING
    again = asyncio.create_task(Terminals(directory, spec, link=way.link, runner=RUNNER).serve())
    try:
        other = await until(lambda: _opened(way, asked(spec, "s2")), "another")
        await other.type(TYPED + b"echo ba''ck\r")
        await until(lambda: "back" in other.text, "the terminal")
    finally:
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
