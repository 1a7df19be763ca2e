"""Every store of concurrency groups keeps the same promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ci_host.adapters.memory.world import MemoryGroups
from ci_host.adapters.nats.stores import NatsGroups
from ci_host.ports import Conflict, Groups
from pipelines.group import Group, Member
from tests.servers import bus_of, nats_server

pytestmark = pytest.mark.anyio

ONE = Group(members=[Member(run="1-a")])
TWO = Group(members=[Member(run="1-a", ousted_by="1-b"), Member(run="1-b")])


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def groups(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Groups]:
    if request.param == "memory":
        yield MemoryGroups()
        return
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            yield NatsGroups(bus)


async def test_a_group_that_nobody_entered_is_empty(groups: Groups) -> None:
    assert await groups.read("r/1", "prod") == (0, Group())


async def test_what_was_written_is_read_with_its_revision(groups: Groups) -> None:
    await groups.write("r/1", "prod", ONE, after=0)
    revision, found = await groups.read("r/1", "prod")
    assert found == ONE
    await groups.write("r/1", "prod", TWO, after=revision)
    assert (await groups.read("r/1", "prod"))[1] == TWO


async def test_whoever_read_an_older_one_does_not_write(groups: Groups) -> None:
    await groups.write("r/1", "prod", ONE, after=0)
    with pytest.raises(Conflict):
        await groups.write("r/1", "prod", TWO, after=0)
    revision, _ = await groups.read("r/1", "prod")
    await groups.write("r/1", "prod", TWO, after=revision)
    with pytest.raises(Conflict):
        await groups.write("r/1", "prod", ONE, after=revision)
    assert (await groups.read("r/1", "prod"))[1] == TWO


async def test_a_group_is_its_repositorys_own(groups: Groups) -> None:
    await groups.write("r/1", "a key, with * and > in it", ONE, after=0)
    assert await groups.read("r/2", "a key, with * and > in it") == (0, Group())
    assert (await groups.read("r/1", "a key, with * and > in it"))[1] == ONE
