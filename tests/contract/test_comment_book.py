"""Every CommentBook keeps the same promises; and on a real bus only what is newest is told."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest

from ci_host.adapters.memory.comments import MemoryComments
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.comments import NatsComments, comments_of
from ci_host.comment_ports import CommandAnswer, CommentBook, PullReport, RunLine, TakenCommand
from ci_host.engine import comment_delivery
from ci_host.engine.comment_delivery import CommentDelivery
from ci_host.ports import Conflict
from pipelines.ids import RunId
from pipelines.repo import Connection, ForgeKind
from pipelines.status import Standing
from tests.contract.comment_forge import PROJECT, REPO, StrictComments
from tests.engine.world import until
from tests.servers import bus_of, nats_server
from webhooks.commenter import Commenter
from webhooks.github.app import AppTokens
from webhooks.memory import MemoryConnections

pytestmark = pytest.mark.anyio

HUB = Connection(id="hub", kind=ForgeKind.GITEA, api_url="https://forge.example", token="t0ken")


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def book(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CommentBook]:
    if request.param == "memory":
        yield MemoryComments()
        return
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            yield NatsComments(bus)


def report(said: str = "said", standing: Standing = Standing.FAILED, **changes) -> PullReport:
    line = RunLine(context="staunch/ci", standing=standing, said=said, url="https://ci/runs/1")
    facts = {"connection": "hub", "repo": f"hub/{PROJECT}", "repo_name": REPO, "number": 7,
             "commit": "a" * 40, "head_at": 1.0, "lines": {line.context: line},
             "is_news": True}  # fmt: skip
    return PullReport(**{**facts, **changes})


def answer(comment: str, *, accepted: bool = True, said: str = "") -> CommandAnswer:
    return CommandAnswer(connection="hub", repo=f"hub/{PROJECT}", repo_name=REPO, number=7,
                         comment=comment, word="rerun", accepted=accepted, said=said)  # fmt: skip


async def test_a_report_is_replaced_only_by_who_has_seen_the_newest(book: CommentBook) -> None:
    place = ("hub", f"hub/{PROJECT}", 7)
    assert await book.read(*place) == (0, None)
    await book.write(report("one"), after=0)
    revision, found = await book.read(*place)
    assert found == report("one")
    with pytest.raises(Conflict):
        await book.write(report("two"), after=0)
    await book.write(report("two"), after=revision)
    with pytest.raises(Conflict):
        await book.write(report("three"), after=revision)
    assert (await book.read(*place))[1] == report("two")
    assert (await book.read("hub", f"hub/{PROJECT}", 8)) == (0, None)


async def test_what_a_command_means_is_said_by_who_takes_it_first(book: CommentBook) -> None:
    first = TakenCommand(repo="hub/1", wish="comment 5", commit="a" * 40, meant=[RunId("1-a")])
    assert await book.taken("hub/1", "comment 5") is None
    assert await book.take(first) == first
    later = msgspec.structs.replace(first, meant=[RunId("1-b")])
    assert await book.take(later) == first
    done = msgspec.structs.replace(first, is_done=True, said="done", begun=[RunId("1-c")])
    for _ in range(2):
        await book.finish(done)
    assert await book.taken("hub/1", "comment 5") == await book.take(later) == done
    assert await book.taken("hub/2", "comment 5") is await book.taken("hub/1", "5") is None


class NoLogs:
    """See LogTails: nothing is kept."""

    async def last_lines(self, job: str, log_bytes: int, count: int) -> list[str]:
        return []


@pytest.mark.nats
async def test_while_the_forge_limits_us_it_is_let_alone_and_then_hears_the_last_word_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comment_delivery, "WRITES_APART_S", 0.0)
    forge = StrictComments("gitea")
    asked = forge.say("/staunch rerun")
    transport = httpx2.MockTransport(forge)
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus, httpx2.AsyncClient(transport=transport) as client:
            book = NatsComments(bus)
            # Green from the first: nobody is told.
            await book.write(report(number=8, is_news=False), after=0)
            await book.write(report("0"), after=0)
            forge.answers = [httpx2.Response(429, headers={"retry-after": "1"})]
            async with serving(bus, client):
                await until(lambda: forge.calls)
                # Meanwhile things go on.
                for number in range(1, 20):
                    revision, _ = await book.read("hub", f"hub/{PROJECT}", 7)
                    await book.write(report(str(number)), after=revision)
                for _ in range(2):
                    await book.answer(answer(str(asked.id)))
                    await book.answer(answer("5", accepted=False, said="it is `closed`"))
                await until(lambda: len(forge.ours()) == 2 and asked.reactions)
            # The limited call; then who we are, which repository, the list and the one that is
            # made, for each of both; and the thumb.
            assert len(forge.calls) == 10
            # Killed, and back: what was told is found, and nothing is written.
            revision, newest = await book.read("hub", f"hub/{PROJECT}", 7)
            assert newest is not None
            await book.write(msgspec.structs.replace(newest, head_at=2.0), after=revision)
            async with serving(bus, client):
                await until(lambda: len(forge.calls) == 13)
    answered, shown = sorted(forge.ours(), key=len)
    assert answered.endswith("`/staunch rerun` did nothing: `it is 'closed'`\n")
    assert "failed: `19`" in shown
    assert forge.writes() == 3


@asynccontextmanager
async def serving(bus: Bus, client: httpx2.AsyncClient) -> AsyncIterator[None]:
    """One life of who delivers; killed at the end."""
    apps = AppTokens(client, lambda: 0.0)
    writer = Commenter(MemoryConnections(HUB), client, apps, now=lambda: 0.0, dice=lambda: 0.0)
    queue = comments_of(bus, "hub", lambda _, name: name)
    delivery = CommentDelivery(queue, writer, NoLogs(), lambda *_: True, time.monotonic)
    task = asyncio.create_task(delivery.serve())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
