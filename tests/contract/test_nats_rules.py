"""What only a real server can show: rules of streams and consumers that correctness rests on."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.msg import Msg

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import MESSAGE_ID, Bus, clock_of, connect, expected, stored_at
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.server import EmbeddedServer
from ci_host.adapters.nats.wakeups import NatsWakeUps
from ci_host.ports import Conflict, Unavailable, WakeUp
from pipelines.events import SignalSent
from pipelines.ids import shard_of
from tests.contract.test_history_store import RUN, first, turn
from tests.patience import PATIENCE_S
from tests.servers import SHARDS, bus_of, nats_server

pytestmark = [pytest.mark.anyio, pytest.mark.nats]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedServer, Bus]]:
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            yield server, bus


async def take(wakes: NatsWakeUps) -> WakeUp:
    async with asyncio.timeout(PATIENCE_S):
        async for wake in wakes:
            return wake
    raise AssertionError


async def test_f3_the_loser_of_a_race_never_believes_that_it_won(
    served: tuple[EmbeddedServer, Bus],
) -> None:
    _, bus = served
    winner, loser = NatsHistory(bus, "life-1"), NatsHistory(bus, "life-2")
    await winner.append_turn(RUN, turn(1), after=0)
    with pytest.raises(Conflict):
        await loser.append_turn(RUN, turn(1), after=0)


async def test_f3_an_id_without_the_engine_in_it_would_answer_duplicate(
    served: tuple[EmbeddedServer, Bus],
) -> None:
    """The naive id, on a server that is not asked to check: another's content passes for ours."""
    _, bus = served
    subject = subjects.run_subject(RUN, "turn")
    await bus.publish(subject, b"winner", {MESSAGE_ID: f"{RUN}:1"})
    ack = await bus.publish(subject, b"loser", {MESSAGE_ID: f"{RUN}:1"})
    assert ack.duplicate
    with pytest.raises(Conflict):
        await bus.publish(subject, b"loser", {MESSAGE_ID: f"{RUN}:1:life-2:0", **expected(0)})


async def test_f5_what_a_dead_engine_held_comes_at_once_and_not_after_the_wait(
    served: tuple[EmbeddedServer, Bus],
) -> None:
    server, bus = served
    history = NatsHistory(bus, "life-1")
    async with bus_of(server, streams=False) as dying:
        dead = NatsWakeUps(dying, list(range(SHARDS)))
        await dead.start()
        await history.create(RUN, first())
        held = await take(dead)
        await dead.stop()
    alive = NatsWakeUps(bus, list(range(SHARDS)))
    await alive.start()
    try:
        again = await take(alive)
        assert (again.run, again.sequence) == (held.run, held.sequence)
    finally:
        await alive.stop()


async def test_what_is_done_does_not_come_again(served: tuple[EmbeddedServer, Bus]) -> None:
    server, bus = served
    history = NatsHistory(bus, "life-1")
    async with bus_of(server, streams=False) as dying:
        dead = NatsWakeUps(dying, list(range(SHARDS)))
        await dead.start()
        await history.create(RUN, first())
        await dead.done(await take(dead))
        await dying.client.flush()
        await dead.stop()
    alive = NatsWakeUps(bus, list(range(SHARDS)))
    await alive.start()
    try:
        second = await history.append_input(RUN, SignalSent(id="s", name="s"))
        assert (await take(alive)).sequence == second
    finally:
        await alive.stop()


async def test_pulling_goes_on_when_the_server_was_killed_and_came_back(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        port = int(server.url.rpartition(":")[2])
        async with bus_of(server) as bus:
            wakes = NatsWakeUps(bus, list(range(SHARDS)))
            await wakes.start()
            history = NatsHistory(bus, "life-1")
            await history.create(RUN, first())
            await wakes.done(await take(wakes))
            back = asyncio.Event()
            bus.on_reconnect(back.set)
            server.kill()
            with nats_server(tmp_path, port=port):
                await back.wait()
                sequence = await history.append_input(RUN, SignalSent(id="s", name="s"))
                while (await take(wakes)).sequence != sequence:
                    pass
                await wakes.stop()
                await bus.close()


async def test_f14_a_history_has_no_limit_that_could_remove_anything(
    served: tuple[EmbeddedServer, Bus],
) -> None:
    _, bus = served
    for shard in range(SHARDS):
        config = (await bus.js.stream_info(subjects.runs_stream(shard))).config
        assert not config.max_age
        assert config.max_msgs == config.max_bytes == config.max_msgs_per_subject == -1


async def test_f6_a_consumer_of_inputs_is_no_brake_and_never_gives_up(
    served: tuple[EmbeddedServer, Bus],
) -> None:
    _, bus = served
    wakes = NatsWakeUps(bus, [0])
    await wakes.start()
    try:
        info = await bus.js.consumer_info(subjects.runs_stream(0), "engine")
        assert info.config.max_deliver == -1
        assert info.config.max_ack_pending >= 5_000
    finally:
        await wakes.stop()


async def test_what_began_a_run_comes_with_its_wake_up_as_the_history_has_it(
    served: tuple[EmbeddedServer, Bus],
) -> None:
    _, bus = served
    history = NatsHistory(bus, "life-1")
    wakes = NatsWakeUps(bus, list(range(SHARDS)))
    await wakes.start()
    try:
        await history.create(RUN, first())
        begun = await take(wakes)
        await history.append_input(RUN, SignalSent(id="a", name="go"))
        later = await take(wakes)
    finally:
        await wakes.stop()
    assert begun.first == (await history.read(RUN)).inputs[0]
    assert later.first is None


@given(st.integers(min_value=0, max_value=2**62))
def test_a_consumer_tells_the_same_time_as_the_stream_to_the_last_bit(nanoseconds: int) -> None:
    seconds, fraction = divmod(nanoseconds, 10**9)
    shown = datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds % 10**10)
    text = f"{shown:%Y-%m-%dT%H:%M:%S}.{fraction:09}".rstrip("0").rstrip(".") + "Z"
    assert clock_of((seconds % 10**10) * 10**9 + fraction) == stored_at(text)


async def test_a_request_ends_when_its_connection_does_and_not_at_its_timeout(
    tmp_path: Path,
) -> None:
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            mute = asyncio.create_task(bus.request("nobody.listens"))
            await bus.client.subscribe("mute")
            waiting = asyncio.create_task(bus.request("mute"))
            with pytest.raises(Unavailable):
                await mute
            server.kill()
            with pytest.raises(Unavailable, match="was lost"):
                await waiting


async def test_nobody_without_the_token_gets_on_the_bus(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        scheme, _, address = server.url.partition("//")
        stranger = f"{scheme}//{address.rpartition('@')[2]}"
        with pytest.raises(Unavailable, match="Authorization Violation"):
            await connect(stranger, name="stranger", timeout_s=3)
        assert oct((tmp_path / "nats" / "token").stat().st_mode)[-3:] == "600"
        assert oct((tmp_path / "nats" / "nats-server.conf").stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize("code", [10158, 10164])
async def test_what_a_cluster_is_still_agreeing_on_is_neither_stored_nor_refused(
    served: tuple[EmbeddedServer, Bus], code: int
) -> None:
    """Whether it will be stored is open, so `put_once` must not call it there already."""
    _, bus = served

    async def agreeing(message: Msg) -> None:
        said = {"error": {"code": 400, "err_code": code, "description": "in process"}}
        await bus.client.publish(message.reply, msgspec.json.encode(said))

    await bus.client.subscribe("agreed.on", cb=agreeing)
    with pytest.raises(Unavailable, match="in process"):
        await bus.put_once("agreed.on", b"x")


async def test_the_newest_message_is_the_leaders(served: tuple[EmbeddedServer, Bus]) -> None:
    _, bus = served
    subject = subjects.run_subject(RUN, "turn")
    stream = subjects.runs_stream(shard_of(RUN))
    assert await bus.newest(stream, subject) is None
    for body in (b"first", b"last \x00"):
        await bus.publish(subject, body)
    newest, last = await bus.newest(stream, subject), await bus.last(stream, subject)
    assert newest is not None and last is not None
    assert newest.body == b"last \x00"
    assert (newest.sequence, newest.at, newest.body) == (last.sequence, last.at, last.body)
