"""What only a real server can show of claims: what is on the streams, and who reads it whole."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.claims import INLINE_BYTES_MAX, PART_BYTES, Claims, claim_of
from ci_host.adapters.nats.consumer import ConsumerRule, NatsQueue
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.wakeups import NatsWakeUps
from ci_host.adapters.sql import queries
from ci_host.adapters.sql.read_model import ReadModel
from ci_host.ports import Damaged, Unavailable
from ci_host.projector import Projector
from pipelines.codec import Undecodable, decode_turn
from pipelines.commands import Command, StepKind
from pipelines.ids import digest_of, shard_of
from pipelines.run import RunState
from pipelines.turn import End, Turn
from tests.chaos.waiting import until
from tests.contract.test_history_store import RUN, turn
from tests.contract.test_large_bodies import (
    MEBIBYTE,
    large_signal,
    large_start,
    large_turn,
    message_at,
)
from tests.patience import PATIENCE_S
from tests.servers import SHARDS, bus_of, nats_server

pytestmark = [pytest.mark.anyio, pytest.mark.nats]

STREAM = subjects.runs_stream(shard_of(RUN))


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            yield bus


async def blobs_of(bus: Bus) -> int:
    """How many messages the blob store holds."""
    return (await bus.js.stream_info(subjects.BLOBS)).state.messages


async def alter(bus: Bus, digest: str) -> None:
    """What a disk does that forgets bits."""
    await bus.purge(subjects.BLOBS, subjects.blob(digest))
    await bus.publish(subjects.blob(digest), b"something else")


class DiesBeforeTheMessage(Exception):
    """The engine's life ends on this line."""


class Doomed:
    """A Bus whose process dies after the blobs, and before the message that names them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def __getattr__(self, name: str) -> object:
        return getattr(self._bus, name)

    async def publish(self, *_given: object, **_named: object) -> None:
        raise DiesBeforeTheMessage


async def test_a_body_at_the_limit_is_in_its_message_and_one_over_it_in_the_blob_store(
    bus: Bus,
) -> None:
    claims = Claims(bus)
    fits = b"x" * INLINE_BYTES_MAX
    assert await claims.lay(fits) is fits
    assert await blobs_of(bus) == 0
    over = fits + b"x"
    note = await claims.lay(over)
    claim = claim_of(note)
    assert claim is not None
    assert (claim.bytes, len(claim.parts), await blobs_of(bus)) == (len(over), 2, 2)
    assert await claims.body_of("here", 1, note) == over


async def test_a_claim_is_small_and_its_parts_are_named_by_what_they_hold(bus: Bus) -> None:
    history = NatsHistory(bus, "life-1")
    place = await history.append_turn(RUN, large_turn(1, 60 * MEBIBYTE), after=0)
    message = await message_at(bus, RUN, place)
    claim = claim_of(message)
    assert claim is not None
    assert len(message) < 8_192
    for digest in claim.parts:
        stored = await bus.last(subjects.BLOBS, subjects.blob(digest))
        assert stored is not None and len(stored.body) <= PART_BYTES
        assert digest_of(stored.body) == digest


async def test_a_small_turn_costs_one_request(bus: Bus) -> None:
    asked: list[str] = []
    request = bus.request

    async def counted(subject: str, *given: object, **named: object) -> object:
        asked.append(subject)
        return await request(subject, *given, **named)  # type: ignore[arg-type]

    bus.request = counted  # type: ignore[method-assign,assignment]
    history = NatsHistory(bus, "life-1")
    await history.append_turn(RUN, turn(1), after=0)
    assert asked == [subjects.run_subject(RUN, "turn")]
    await history.last_turn(RUN)
    assert len(asked) == 2


async def test_a_death_between_blob_and_message_leaves_what_is_found_again(bus: Bus) -> None:
    dying = NatsHistory(Doomed(bus), "life-1")  # type: ignore[arg-type]
    with pytest.raises(DiesBeforeTheMessage):
        await dying.append_turn(RUN, large_turn(1, 3 * MEBIBYTE), after=0)
    orphans = await blobs_of(bus)
    assert orphans >= 3
    assert (await NatsHistory(bus, "judge").read(RUN)).turns == []
    history = NatsHistory(bus, "life-2")
    await history.append_turn(RUN, large_turn(1, 3 * MEBIBYTE), after=0)
    assert await blobs_of(bus) == orphans
    assert (await history.read(RUN)).turns[0].turn == large_turn(1, 3 * MEBIBYTE)


@pytest.mark.parametrize("how", ["missing", "altered", "exchanged"])
async def test_a_body_that_is_not_what_was_stored_is_refused_by_name(bus: Bus, how: str) -> None:
    history = NatsHistory(bus, "life-1")
    place = await history.append_turn(RUN, large_turn(1, 3 * MEBIBYTE), after=0)
    claim = claim_of(await message_at(bus, RUN, place))
    assert claim is not None
    digest = claim.parts[1]
    if how == "missing":
        await bus.purge(subjects.BLOBS, subjects.blob(digest))
    elif how == "altered":
        await alter(bus, digest)
    else:
        short = replaced(claim, parts=[*claim.parts[:-1], claim.parts[0]])
        await bus.publish(subjects.run_subject(RUN, "turn"), note_of(short))
        place += 1
    with pytest.raises(Damaged, match=rf"(?=.*{RUN})(?=.*\b{place}\b)(?=.*{digest})"):
        await history.last_turn(RUN)


def note_of(claim: object) -> bytes:
    """The message that a claim is."""
    return msgspec.json.encode({"claim": claim})


replaced = msgspec.structs.replace


@pytest.mark.parametrize(
    "claim",
    [
        {},
        {"bytes": 1, "parts": []},
        {"bytes": 1, "parts": [">"]},
        {"bytes": 1, "parts": ["a" * 63]},
        {"bytes": 1, "parts": ["a" * 64] * 257},
        {"bytes": 1, "parts": ["a" * 64], "state": "dancing"},
    ],
)
def test_a_claim_of_another_form_cannot_be_read(claim: object) -> None:
    with pytest.raises(Undecodable, match="a claim of"):
        claim_of(note_of(claim))


async def test_what_one_server_of_a_cluster_has_not_got_yet_the_leader_is_asked_for(
    bus: Bus,
) -> None:
    """A follower that is a moment behind answers a direct read with nothing."""
    note = await Claims(bus).lay(large := b"y" * (2 * MEBIBYTE))
    last = bus.last

    async def lags(stream: str, subject: str) -> object:
        return None if stream == subjects.BLOBS else await last(stream, subject)

    bus.last = lags  # type: ignore[method-assign,assignment]
    assert await Claims(bus).body_of("here", 1, note) == large


async def test_a_large_beginning_is_read_from_the_history_and_not_from_its_wake_up(
    bus: Bus,
) -> None:
    wakes = NatsWakeUps(bus, list(range(SHARDS)))
    await wakes.start()
    try:
        await NatsHistory(bus, "life-1").create(RUN, large_start(2 * MEBIBYTE))
        async with asyncio.timeout(PATIENCE_S):
            async for wake in wakes:
                assert (wake.run, wake.first) == (RUN, None)
                break
    finally:
        await wakes.stop()


def turns_of(bus: Bus) -> NatsQueue[Turn]:
    """Turns as the status reporter hears of them."""
    rule = ConsumerRule(STREAM, "listener", (f"run.{shard_of(RUN)}.*.turn",))
    return NatsQueue(bus, rule, lambda got: decode_turn(got.body))


async def heard(queue: NatsQueue[Turn], count: int) -> list[Turn]:
    """The first Turns that it tells."""
    found: list[Turn] = []
    async with asyncio.timeout(PATIENCE_S):
        async for owed in queue:
            found.append(owed.item)
            await owed.done()
            if len(found) == count:
                break
    return found


async def test_a_queue_hands_out_whole_turns_in_order_and_leaves_out_a_lost_one(bus: Bus) -> None:
    history = NatsHistory(bus, "life-1")
    one = await history.append_turn(RUN, large_turn(1, 3 * MEBIBYTE), after=0)
    two = await history.append_turn(RUN, large_turn(2, 3 * MEBIBYTE), after=one)
    await history.append_turn(RUN, turn(3), after=two)
    claim = claim_of(await message_at(bus, RUN, two))
    assert claim is not None
    await alter(bus, claim.parts[0])
    assert await heard(turns_of(bus), 2) == [large_turn(1, 3 * MEBIBYTE), turn(3)]


async def test_a_queue_waits_for_a_body_that_cannot_be_had_just_now(bus: Bus) -> None:
    await NatsHistory(bus, "life-1").append_turn(RUN, large_turn(1, 3 * MEBIBYTE), after=0)
    last, refused = bus.last, 0

    async def busy(stream: str, subject: str) -> object:
        nonlocal refused
        if refused == 0:
            refused += 1
            raise Unavailable("no answer")
        return await last(stream, subject)

    bus.last = busy  # type: ignore[method-assign,assignment]
    assert await heard(turns_of(bus), 1) == [large_turn(1, 3 * MEBIBYTE)]
    assert refused == 1


@asynccontextmanager
async def projected(bus: Bus, folder: Path) -> AsyncIterator[ReadModel]:
    """The read model, while it is being folded."""
    model = ReadModel(f"sqlite:///{folder / 'read-model.sqlite'}")
    projecting = asyncio.create_task(Projector(bus, model, SHARDS).serve())
    try:
        yield model
    finally:
        projecting.cancel()
        await asyncio.gather(projecting, return_exceptions=True)
        model.close()


async def test_the_read_model_folds_whole_bodies_and_leaves_out_a_lost_one(
    bus: Bus, tmp_path: Path
) -> None:
    history = NatsHistory(bus, "life-1")
    await history.create(RUN, large_start(2 * MEBIBYTE))
    lost = await history.append_input(RUN, large_signal(2 * MEBIBYTE))
    one = await history.append_turn(RUN, large_turn(1, 3 * MEBIBYTE), after=0)
    await history.append_turn(RUN, replaced(turn(2), state=RunState.FAILED), after=one)
    claim = claim_of(await message_at(bus, RUN, lost))
    assert claim is not None
    await alter(bus, claim.parts[-1])
    async with projected(bus, tmp_path) as model:

        async def is_folded() -> bool:
            found = await asyncio.to_thread(queries.run_detail, model, RUN)
            return found is not None and found.run.turns == 2

        await until("both turns in the read model", is_folded)
        detail = queries.run_detail(model, RUN)
    assert detail is not None
    assert (detail.run.state, detail.run.given_json[:2]) == ("failed", '{"')
    assert [(row.number, row.results) for row in detail.turns] == [(1, 1), (2, 0)]
    assert [row.type for row in detail.inputs] == ["run_started"]


async def test_of_a_value_too_large_to_be_shown_its_size_is_shown(bus: Bus, tmp_path: Path) -> None:
    history = NatsHistory(bus, "life-1")
    await history.create(RUN, large_start(2 * MEBIBYTE))
    asked = Command(kind=StepKind.DO, key="load", fingerprint="f")
    ending = replaced(
        large_turn(1, 3 * MEBIBYTE, RunState.SUCCEEDED),
        commands=[asked],
        end=End(state=RunState.SUCCEEDED, output="x" * MEBIBYTE),
    )
    await history.append_turn(RUN, ending, after=0)
    async with projected(bus, tmp_path) as model:

        async def is_folded() -> bool:
            found = await asyncio.to_thread(queries.run_detail, model, RUN)
            return found is not None and found.run.turns == 1

        await until("the turn in the read model", is_folded)
        detail = queries.run_detail(model, RUN)
    assert detail is not None and detail.run.output_json is not None
    (step,) = detail.steps
    assert step.value_json is not None
    says = "`staunch history` and `staunch export` have it"
    assert says in step.value_json and says in detail.run.given_json
    assert detail.run.output_json == f'"(1,048,578 bytes: {says})"'
    assert list(json.loads(detail.run.given_json)) == ["inputs"]
