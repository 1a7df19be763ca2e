"""Histories on a cluster of three nats-servers, each message on all of them; a leader dies."""

import gc
from pathlib import Path

import pytest

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus, connect
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.streams import ensure_streams
from ci_host.ports import Unavailable
from pipelines.events import SignalSent
from pipelines.ids import shard_of
from tests.chaos.cluster import Cluster
from tests.chaos.waiting import until
from tests.contract.test_history_store import RUN, first
from tests.contract.test_large_bodies import MEBIBYTE, large_turn
from tests.patience import PATIENCE_S
from tests.servers import SHARDS, bus_of, nats_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.nats,
    pytest.mark.slow,
    # The client lets go of a connection that failed while it went from server to server.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _complaints_of_here_and_not_of_the_next_test():
    yield
    gc.collect()


async def leader_of(bus: Bus, stream: str) -> str:
    info = await bus.js.stream_info(stream)
    assert info.cluster is not None
    return info.cluster.leader or ""


async def test_a_history_on_three_servers_outlives_the_death_of_its_leader(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        bus = await connect(cluster.url, name="test", timeout_s=PATIENCE_S)
        try:
            await ensure_streams(bus.js, SHARDS, replicas=3)
            history = NatsHistory(bus, "engine")
            assert await history.create(RUN, first())
            stream = subjects.runs_stream(shard_of(RUN))
            dead = await leader_of(bus, stream)
            cluster.kill(dead)

            async def took_it() -> bool:
                try:
                    await history.append_input(RUN, SignalSent(id="one", name="go"))
                except Unavailable:
                    return False
                return True

            await until("a new leader that stores", took_it)
            cluster.revive()

            async def is_whole() -> bool:
                try:
                    stored = await history.read(RUN)
                except Unavailable:
                    return False
                # An answer that was lost with the leader may have been stored: then it is there
                # twice, and whoever takes signals knows them by their id.
                return len(stored.inputs) >= 2 and stored.inputs[0].input == first()

            await until("the whole history", is_whole)
            assert not await history.create(RUN, first())
        finally:
            await bus.close()


async def test_a_large_turn_is_read_as_soon_as_it_is_stored_whichever_server_answers(
    tmp_path: Path,
) -> None:
    with Cluster(tmp_path) as cluster:
        bus = await connect(cluster.url, name="test", timeout_s=PATIENCE_S)
        try:
            await ensure_streams(bus.js, SHARDS, replicas=3)
            history = NatsHistory(bus, "engine", replicas=3)
            place = 0
            for number in range(1, 6):
                made = large_turn(number, 3 * MEBIBYTE)
                place = await history.append_turn(RUN, made, after=place)
                last = await history.last_turn(RUN)
                assert last is not None
                assert (last.sequence, last.turn) == (place, made)
        finally:
            await bus.close()


async def test_one_server_cannot_keep_three_copies_and_says_so(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        async with bus_of(server, streams=False) as bus:
            with pytest.raises(Unavailable, match=r"--nats-replicas"):
                await ensure_streams(bus.js, SHARDS, replicas=3)
