"""The real engine process is killed before each message that it sends; its Runs end the same."""

import os
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from ci_host.adapters.nats.bus import connect
from ci_host.cli.options import default_cache
from ci_host.ports import StoredHistory
from pipelines.ids import RunId
from tests.chaos.corpus import CORPUS, ENDS
from tests.chaos.doomed_engine import DoomedEngine
from tests.chaos.hand_played import HandPlayed
from tests.chaos.waiting import until
from tests.servers import bus_of, nats_server

pytestmark = [pytest.mark.anyio, pytest.mark.nats, pytest.mark.sandbox, pytest.mark.slow]

SHARD = 2


def decided(stored: StoredHistory) -> object:
    """What a Run did and came to, without the times and sequences that differ between two."""
    turns = [kept.turn for kept in stored.turns]
    end = turns[-1].end
    assert end is not None
    return (
        sorted((c.kind, c.key, c.attempt, c.fingerprint) for t in turns for c in t.commands),
        sorted((r.kind, r.key, r.attempt, r.state) for t in turns for r in t.results),
        (end.state, end.output, end.error and end.error.type),
    )


def came_to(stored: StoredHistory) -> object:
    """What a Run returned, or the type of its error."""
    end = stored.turns[-1].turn.end
    assert end is not None
    return end.error.type if end.error is not None else end.output


def check(stored: StoredHistory) -> None:
    """What holds for every History, however often its engine died."""
    turns = [kept.turn for kept in stored.turns]
    assert [turn.number for turn in turns] == list(range(1, len(turns) + 1))
    consumed = [sequence for turn in turns for sequence in turn.consumed]
    assert consumed == [i.sequence for i in stored.inputs if i.sequence <= turns[-1].through]
    assert stored.armed is None, "a timer is left"
    results = Counter((r.key, r.attempt) for turn in turns for r in turn.results)
    assert set(results.values()) <= {1}, "a step has two results"


@pytest.fixture
async def world(tmp_path: Path, wasm_image):
    """(engine, hands): a doomed engine on a real bus, and who does all that its Runs wait for."""
    with nats_server(tmp_path) as server:
        async with bus_of(server):
            bus = await connect(server.url, name="by hand")
            data = tmp_path / "engine"
            data.mkdir()
            cache = Path(os.environ.get("STAUNCH_CACHE_DIR", default_cache()))
            engine = DoomedEngine(data, cache, server.url, [SHARD])
            engine.start()
            try:
                yield engine, HandPlayed(bus, SHARD)
            finally:
                engine.kill()
                await bus.close()


async def played(engine: DoomedEngine, hands: HandPlayed, pipeline: str, number: int) -> RunId:
    """A Run of this pipeline, from its beginning to its end, over any number of lives."""
    run = await hands.begin(pipeline, number)

    async def over() -> bool:
        if engine.is_dead:
            engine.start()
        return await hands.is_over()

    await until(f"the end of {pipeline}, dead at message {number}", over, every_s=0.02)
    return run


@pytest.mark.parametrize("pipeline", list(CORPUS))
async def test_a_death_before_any_message_changes_nothing(world, pipeline: str) -> None:
    engine, hands = world
    undisturbed = await hands.family(await played(engine, hands, pipeline, 0))
    assert ENDS[pipeline] in [came_to(stored) for stored in undisturbed]
    wanted = [decided(stored) for stored in undisturbed]
    for number in count(1):
        engine.fuse.light(number)
        run = await played(engine, hands, pipeline, number)
        left = engine.fuse.put_out()
        family = await hands.family(run)
        for stored in family:
            check(stored)
        assert sorted(map(repr, map(decided, family))) == sorted(map(repr, wanted)), number
        if left:
            break
    print(f"{pipeline}: {number - 1} deaths")
    offers = Counter((spec.run, spec.key, spec.attempt) for spec in await hands.offers())
    assert set(offers.values()) <= {1}, "a job was queued twice"
    assert number > 5
