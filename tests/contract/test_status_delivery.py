"""Statuses from the outbox of a real server to a Forge that is down, ill, or says no."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.consumer import Consumer
from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.server import EmbeddedServer
from ci_host.adapters.nats.statuses import NatsStatusOutbox, NatsUntoldStatuses, outbox_rule
from ci_host.adapters.nats.stores import NatsCatalog
from ci_host.bootstrap.serving import deliver_statuses
from pipelines.repo import Repo
from pipelines.status import Status
from tests.contract.ill_forge import IllForge
from tests.contract.status_queue import OPEN, connection, events, heard, status
from tests.engine.world import until
from tests.servers import bus_of, nats_server
from webhooks.reporter import BACKOFF_S_MAX
from webhooks.status_api import RETRY_AFTER_S_MAX

pytestmark = pytest.mark.anyio
nats = pytest.mark.nats

HOUR_S = 3_600.0
DAY_S = 86_400.0


@pytest.fixture
def forge() -> Iterator[IllForge]:
    with IllForge() as forge:
        yield forge


@pytest.fixture
def said() -> Iterator[list[dict[str, object]]]:
    """What is logged: what an operator can read in the host's log."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def server(tmp_path: Path, forge: IllForge) -> AsyncIterator[EmbeddedServer]:
    """A bus on which the Forge is known as `tea`."""
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            await NatsCatalog(bus).put_connection(connection(forge.url))
        yield server


async def put(server: EmbeddedServer, *statuses: Status) -> None:
    async with bus_of(server, streams=False) as bus:
        for one in statuses:
            await NatsStatusOutbox(bus).put(one)


@asynccontextmanager
async def life(server: EmbeddedServer) -> AsyncIterator[Bus]:
    """One life of that part of the host that tells statuses; killed at the end, not asked."""
    async with bus_of(server, streams=False) as bus:
        directory = Directory(bus)
        await directory.start()
        task = asyncio.create_task(deliver_statuses(bus, directory))
        try:
            yield bus
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await directory.stop()


@nats
async def test_after_an_outage_of_any_kind_every_status_arrives_once_and_in_order(
    server, forge, said
):
    statuses = [status(n) for n in range(16)]
    await put(server, *statuses)
    forge.answer(500, 201, 502, 201, 503, 201, 429, 201, retry_after_s=1)
    async with life(server):
        # Connections are refused: nobody listens on that port yet.
        await until(lambda: events(said, "status_later"))
        forge.listen()
        await until(lambda: len(forge.told) == len(statuses))
    assert forge.told == [heard(one) for one in statuses]
    assert [call.code for call in forge.calls][:8] == [500, 201, 502, 201, 503, 201, 429, 201]
    # The Forge asked for a second, and got it.
    limited, again = forge.calls[6:8]
    assert again.at - limited.at >= 1.0
    later = events(said, "status_later")
    assert "ConnectError" in str(later[0]["reason"])
    assert {line["attempt"] for line in later[:2]} == {1, 2}
    for code in (500, 502, 503, 429):
        assert any(f"answered {code}" in str(line["reason"]) for line in later)


@nats
async def test_a_refusal_is_shown_with_its_place_and_holds_up_nobody(server, forge, said):
    statuses, codes = [], {"org/moved": 301, "org/shut": 401, "org/gone": 404, "org/odd": 422}
    for number, repo in enumerate([*codes, *codes]):
        statuses += [status(2 * number, repo_name=repo), status(2 * number + 1)]
    forge.refuses.update(codes)
    forge.listen()
    await put(server, *statuses)
    async with life(server):
        await until(lambda: len(forge.calls) == len(statuses))
        await until(lambda: len(events(said, "status_refused")) == 2 * len(codes))
    assert forge.told == [heard(one) for one in statuses if one.repo_name == OPEN]
    for line in events(said, "status_refused"):
        assert line["log_level"] == "error"
        assert f"answered {codes[str(line['repo'])]}" in str(line["reason"])
        assert {"connection", "commit", "context", "state", "run"} < set(line)


@nats
async def test_a_connection_that_cannot_work_is_no_trouble_to_the_others(server, forge, said):
    async with bus_of(server, streams=False) as bus:
        for wrong in ({"id": "port", "api_url": "http://127.0.0.1:99999"},
                      {"id": "token", "token": "t€ken"}):  # fmt: skip
            await NatsCatalog(bus).put_connection(connection(forge.url, **wrong))
    forge.listen()
    bad = [status(n, connection=name) for n, name in enumerate(["port", "token"])]
    good = [status(n) for n in range(2, 6)]
    await put(server, *bad, *good)
    async with life(server):
        await until(lambda: len(events(said, "status_refused")) == 2)
        await until(lambda: len(forge.told) == len(good))
    assert forge.told == [heard(one) for one in good]
    assert not any("t€ken" in str(line) for line in said)


@nats
async def test_a_host_killed_while_the_forge_is_away_loses_nothing(server, forge, said):
    statuses = [status(n) for n in range(8)]
    await put(server, *statuses[:4])
    async with life(server):
        await until(lambda: events(said, "status_later"))
    await put(server, *statuses[4:])
    forge.listen()
    async with life(server):
        await until(lambda: len(forge.told) == len(statuses))
    assert forge.told == [heard(one) for one in statuses]


@nats
async def test_a_host_killed_again_and_again_tells_all_in_order_and_only_the_last_one_twice(
    server, forge
):
    statuses = [status(n) for n in range(40)]
    await put(server, *statuses)
    forge.listen()
    kills = 0

    def is_all_told() -> bool:
        return len(set(forge.told)) == len(statuses)

    while not is_all_told():
        # The Forge writes it down, and the host dies before the answer comes.
        forge.hold_from(len(forge.calls) + 7)
        async with life(server):
            await until(lambda: forge.is_holding or is_all_told())
        forge.release()
        kills += 1
    assert kills > 3
    once = [one for one, _ in groupby(forge.told)]
    assert once == [heard(one) for one in statuses]
    assert len(forge.told) <= len(once) + kills


@nats
async def test_a_bus_that_is_killed_while_the_forge_is_away_loses_nothing(
    server, forge, said, tmp_path
):
    statuses = [status(n) for n in range(8)]
    await put(server, *statuses)
    port = int(server.url.rpartition(":")[2])
    async with life(server) as bus:
        await until(lambda: events(said, "status_later"))
        back = asyncio.Event()
        bus.on_reconnect(back.set)
        server.kill()
        with nats_server(tmp_path, port):
            await back.wait()
            forge.listen()
            await until(lambda: len(forge.told) == len(statuses))
            assert forge.told == [heard(one) for one in statuses]
            await bus.close()


@nats
async def test_no_rule_of_the_bus_gives_up_within_a_month(server, forge):
    async with life(server) as bus:
        rule = outbox_rule("tea")
        found = await until(lambda: _config_of(bus, rule.name))
        assert found.max_deliver == -1 and found.max_ack_pending == 1
        # A backoff of the server's would bound the tries; a threshold would forget the place.
        assert not found.backoff and not found.inactive_threshold
        stream = (await bus.js.stream_info(subjects.STATUSES)).config
        assert stream.max_age >= 30 * DAY_S
        assert stream.max_msgs == stream.max_bytes == stream.max_msgs_per_subject == -1
    # No wait is longer than the outage that is meant: the forge is found back in good time.
    assert BACKOFF_S_MAX <= 60.0 and RETRY_AFTER_S_MAX <= HOUR_S


async def _config_of(bus: Bus, name: str):
    infos = await bus.js.consumers_info(subjects.STATUSES)
    return next((info.config for info in infos if info.name == name), None)


@nats
async def test_after_more_tries_than_an_hour_holds_the_first_is_still_the_first(server, forge):
    statuses = [status(n) for n in range(8)]
    await put(server, *statuses)
    rule = outbox_rule("tea")
    # Also more than one wish of the reader's holds.
    tries = rule.batch + 10
    assert tries > 2 * HOUR_S / (BACKOFF_S_MAX / 2)
    async with bus_of(server, streams=False) as bus:
        consumer = Consumer(bus, rule)
        await consumer.ensure()
        async for got in consumer:
            assert msgspec.json.decode(got.body, type=Status) == statuses[0]
            if got.times > tries:
                break
            await consumer.later(got, 0.0)
    forge.listen()
    async with life(server):
        await until(lambda: len(forge.told) == len(statuses))
    assert forge.told == [heard(one) for one in statuses]


@nats
async def test_what_is_refused_is_listed_and_told_when_the_connection_has_another_token(
    server, forge, said
):
    forge.refuses[OPEN] = 401
    forge.listen()
    await put(server, status(0), status(1))
    async with life(server) as bus:
        untold = NatsUntoldStatuses(bus)
        await until(lambda: len(events(said, "status_refused")) == 2)
        kept = await untold.all()
        assert [one.status for one in kept] == [status(0), status(1)]
        assert all("set a new one" in one.reason and not one.may_pass for one in kept)
        del forge.refuses[OPEN]
        await NatsCatalog(bus).put_connection(connection(forge.url, token="another"))
        await until(lambda: len(forge.told) == 2)
        assert forge.told == [heard(status(0)), heard(status(1))]

        async def is_empty() -> bool:
            return not await untold.all()

        await until(is_empty)


@nats
async def test_what_was_said_under_an_old_name_is_told_under_the_new_one(server, forge):
    """Under the old one there may be somebody else's repository by now."""
    forge.listen()
    async with bus_of(server, streams=False) as bus:
        facts = {"connection": "tea", "external_id": "1", "clone_url": "https://tea.example/x"}
        await NatsCatalog(bus).put_repo(Repo(id="tea/1", name="waterways/sluice", **facts))
    await put(server, status(0))
    async with life(server):
        await until(lambda: forge.told)
    assert forge.told == [heard(status(0, repo_name="waterways/sluice"))]


@nats
async def test_an_older_staunchs_outbox_is_read_on_where_it_was(server, forge):
    """Its messages had no place in their subjects, and its consumer asked for no others."""
    forge.listen()
    rule = replace(outbox_rule("tea"), subjects=("status.tea.*",))
    async with bus_of(server, streams=False) as bus:
        for number in range(4):
            body = msgspec.json.encode(status(number))
            await bus.put_once(f"status.tea.s-{number}", body)
        older = Consumer(bus, rule)
        await older.ensure()
        async for got in older:
            await older.done(got)
            if got.sequence >= 2:
                break
        await bus.client.flush()
        await NatsStatusOutbox(bus).put(status(4))
    async with life(server):
        await until(lambda: len(forge.told) == 3)
    assert forge.told == [heard(status(n)) for n in (2, 3, 4)]
