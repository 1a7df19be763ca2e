"""A sweep reads everything once; the host's settings are read by one, and kept fresh."""

import asyncio

import msgspec
import pytest

from ci_host.adapters.nats import subjects, sweep
from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.stores import NatsCatalog
from ci_host.ports import Unavailable
from pipelines.repo import Connection, ForgeKind, Repo
from tests.patience import PATIENCE_S
from tests.servers import bus_of, nats_server

pytestmark = [pytest.mark.anyio, pytest.mark.nats]


def repo(number: int, name: str = "") -> Repo:
    return Repo(
        id=f"git/{number}",
        connection="git",
        external_id=str(number),
        name=name or f"me/{number}",
        clone_url="/srv/git/app.git",
    )


@pytest.fixture
async def bus(tmp_path):
    with nats_server(tmp_path) as server:
        async with bus_of(server) as found:
            yield found


async def swept(bus) -> list[str]:
    found = [one async for one in sweep.sweep(bus, subjects.CONFIG, "config.repo.*")]
    assert [one.sequence for one in found] == sorted({one.sequence for one in found})
    return [msgspec.json.decode(one.body, type=Repo).name for one in found]


async def test_everything_is_read_once_in_order_over_many_batches(bus, monkeypatch):
    assert await swept(bus) == []
    monkeypatch.setattr(sweep, "BATCH", 7)
    catalog = NatsCatalog(bus)
    await catalog.put_connection(Connection(id="git", kind=ForgeKind.GIT, secrets=["s"]))
    for number in range(22):
        await catalog.put_repo(repo(number))
    await catalog.put_repo(repo(3, "me/renamed"))
    assert await swept(bus) == [f"me/{n}" for n in range(22) if n != 3] + ["me/renamed"]
    left = await bus.js.consumers_info(subjects.CONFIG)
    assert left == [], "its consumer is gone"


async def test_what_changes_while_it_is_read_stops_nothing(bus, monkeypatch):
    monkeypatch.setattr(sweep, "BATCH", 2)
    catalog = NatsCatalog(bus)
    for number in range(9):
        await catalog.put_repo(repo(number))
    found = []
    async for one in sweep.sweep(bus, subjects.CONFIG, "config.repo.*"):
        if not found:
            await catalog.put_repo(repo(8, "me/renamed"))
        found.append(msgspec.json.decode(one.body, type=Repo).name)
    assert found == [f"me/{n}" for n in range(8)] + ["me/renamed"]


async def test_a_server_that_dies_meanwhile_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "BATCH", 2)
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            for number in range(9):
                await NatsCatalog(bus).put_repo(repo(number))
            seen = 0
            with pytest.raises(Unavailable, match="CONFIG"):
                async for _ in sweep.sweep(bus, subjects.CONFIG, "config.repo.*"):
                    seen += 1
                    if seen == 1:
                        server.kill()
            assert 1 <= seen < 9


async def test_the_directory_knows_what_was_there_and_what_comes(bus):
    catalog = NatsCatalog(bus)
    await catalog.put_repo(repo(1))
    directory = Directory(bus)
    await directory.start()
    try:
        assert directory.repos == {"git/1": repo(1)}
        await catalog.put_repo(repo(2))
        async with asyncio.timeout(PATIENCE_S):
            while "git/2" not in directory.repos:
                await asyncio.sleep(0.01)
    finally:
        await directory.stop()


async def test_a_change_whose_word_was_lost_is_read_later(bus):
    catalog, directory = NatsCatalog(bus), Directory(bus)
    await catalog.put_repo(repo(1))
    await directory._read_all()
    await catalog.put_repo(repo(2))
    await catalog.put_repo(repo(1, "me/renamed"))
    assert set(directory.repos) == {"git/1"}
    await directory._read_newer()
    assert directory.repos == {"git/1": repo(1, "me/renamed"), "git/2": repo(2)}
    await directory._read_newer()
    assert len(directory.repos) == 2
