"""The lists that people have named are kept with the same promises everywhere."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ci_host.adapters.memory.views import MemoryViews
from ci_host.adapters.nats.views import NatsViews
from ci_host.ports import Conflict, Unavailable
from ci_host.view_ports import VIEWS_MAX, SavedView, SavedViews
from tests.servers import bus_of, nats_server

pytestmark = pytest.mark.anyio

WHO = "ada * > \n ünï"
VIEW = SavedView(name="mine, and *", filters={"sender": "ada", "since": "7d"}, at=1.5)


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def views(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SavedViews]:
    if request.param == "memory":
        yield MemoryViews()
        return
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            yield NatsViews(bus)


async def test_what_was_written_is_read_by_that_person_alone(views):
    assert await views.read(WHO) == (0, [])
    first = await views.write(WHO, [VIEW], after=0)
    assert await views.read(WHO) == (first, [VIEW])
    assert await views.read("ada") == (0, [])
    second = await views.write(WHO, [], after=first)
    assert second > first and await views.read(WHO) == (second, [])


async def test_of_many_that_write_at_once_exactly_one_does(views):
    writes = (views.write(WHO, [VIEW], after=0) for _ in range(8))
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(answer, int) for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 7


async def test_as_many_as_somebody_may_have_fit_into_a_record(views):
    many = [
        SavedView(name=f"{number:02}" + "ü" * 58, filters={"ref": "x" * 1_000}, at=1.0)
        for number in range(VIEWS_MAX)
    ]
    await views.write(WHO, many, after=0)
    assert (await views.read(WHO))[1] == many


@pytest.mark.nats
async def test_they_outlive_a_server_that_was_killed_and_say_when_it_is_away(tmp_path):
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            revision = await NatsViews(bus).write(WHO, [VIEW], after=0)
            server.kill()
            calls = (NatsViews(bus).read(WHO), NatsViews(bus).write(WHO, [], after=revision))
            for answer in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(answer, Unavailable)
    with nats_server(tmp_path) as server:
        async with bus_of(server, streams=False) as bus:
            assert await NatsViews(bus).read(WHO) == (revision, [VIEW])
