"""What no Forge took is kept with the same promises everywhere, one Status of each place."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from ci_host.adapters.memory.statuses import MemoryUntoldStatuses
from ci_host.adapters.nats.statuses import NatsStatusOutbox, NatsUntoldStatuses
from ci_host.status_ports import Untold, UntoldStatuses
from pipelines.status import Status, StatusState
from tests.servers import bus_of, nats_server

pytestmark = pytest.mark.anyio

PENDING = Status(
    id="1", connection="tea", repo="7", repo_name="acme/shop", commit="a" * 40,
    context="staunch/a b", state=StatusState.PENDING, description="d", target_url="u", at=1.0,
    run="r",
)  # fmt: skip
SUCCESS = msgspec.structs.replace(PENDING, id="2", state=StatusState.SUCCESS, at=2.0)
DIFFERENT = [{"repo": "8"}, {"commit": "b" * 40}, {"context": "c"}, {"run": "s"}]
OTHERS = [
    msgspec.structs.replace(PENDING, id=f"1-{number}", **changes)
    for number, changes in enumerate(DIFFERENT)
]


def untold(status: Status, **changes: object) -> Untold:
    return Untold(**{"status": status, "reason": "401", "since": status.at, **changes})  # type: ignore[arg-type]


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[UntoldStatuses]:
    if request.param == "memory":
        yield MemoryUntoldStatuses()
        return
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            yield NatsUntoldStatuses(bus)


async def test_of_a_place_the_newest_is_kept_and_found_by_any_of_it(kept):
    assert await kept.find(PENDING) is None
    await kept.keep(untold(PENDING))
    await kept.keep(untold(SUCCESS, may_pass=True))
    assert await kept.find(PENDING) == untold(SUCCESS, may_pass=True)
    assert await kept.all() == [untold(SUCCESS, may_pass=True)]


async def test_repositories_commits_contexts_and_runs_are_places_of_their_own(kept):
    for number, one in enumerate([PENDING, *OTHERS]):
        await kept.keep(untold(one, since=float(-number)))
    assert [one.status for one in await kept.all()] == [PENDING, *OTHERS][::-1]
    assert await kept.find(msgspec.structs.replace(PENDING, connection="hub")) is None


async def test_what_was_told_is_forgotten_and_may_be_kept_again(kept):
    await kept.forget(PENDING)
    await kept.keep(untold(PENDING))
    await kept.forget(SUCCESS)
    assert await kept.find(PENDING) is None
    assert await kept.all() == []
    await kept.keep(untold(SUCCESS))
    assert await kept.all() == [untold(SUCCESS)]


@pytest.mark.nats
async def test_the_outbox_knows_the_newest_of_a_place(tmp_path: Path):
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            outbox = NatsStatusOutbox(bus)
            assert await outbox.newest_of(PENDING) is None
            assert await outbox.find(PENDING) is None
            for one in (PENDING, SUCCESS, *OTHERS, PENDING):
                await outbox.put(one)
            # What was put a second time changed nothing, nor what is told again.
            await outbox.put(msgspec.structs.replace(PENDING, id="3", again_of="1"))
            assert await outbox.newest_of(PENDING) == "2"
            assert await outbox.newest_of(OTHERS[0]) == "1-0"
            assert await outbox.find(untold(SUCCESS).status) == SUCCESS
            # One that was put by an older Staunch, in whose subjects there were no places.
            older = msgspec.structs.replace(PENDING, id="0")
            await bus.put_once("status.tea.0", msgspec.json.encode(older))
            assert await outbox.newest_of(older) is None


@pytest.mark.nats
async def test_what_cannot_be_read_is_left_out_and_ends_nobody(tmp_path: Path):
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            await bus.publish(f"untold.tea.{PENDING.place}", b'{"of": "a newer Staunch"}')
            kept = NatsUntoldStatuses(bus)
            await kept.keep(untold(OTHERS[0]))
            assert await kept.all() == [untold(OTHERS[0])]
            assert await kept.find(PENDING) is None
