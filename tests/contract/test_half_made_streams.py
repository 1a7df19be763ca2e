"""What a message server that was killed left half-made keeps nobody from starting."""

from pathlib import Path

import pytest

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.half_made import ASIDE, put_aside
from ci_host.adapters.nats.streams import StreamRule, config_of, ensure_streams
from tests.servers import SHARDS, bus_of, nats_server

pytestmark = [pytest.mark.anyio, pytest.mark.nats]

SUBJECT = "config.repo.x"


def streams_in(folder: Path) -> Path:
    return folder / "nats/js/jetstream/$G/streams"


async def test_streams_that_were_being_made_are_made_again_and_the_others_keep_all(
    tmp_path: Path,
) -> None:
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            await bus.publish(SUBJECT, b"kept")
            server.kill()
    (streams_in(tmp_path) / "RUNS_0" / "meta.sum").unlink()
    (streams_in(tmp_path) / "RUNNERS" / "meta.inf").write_bytes(b"")
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            stored = await bus.last(subjects.CONFIG, SUBJECT)
            assert stored is not None and stored.body == b"kept"
            assert await bus.newest_sequence(subjects.runs_stream(0)) == 0
    assert sorted(one.name.partition("-")[0] for one in (tmp_path / "nats" / ASIDE).iterdir()) == [
        "RUNNERS", "RUNS_0",
    ]  # fmt: skip


async def test_a_stream_that_holds_messages_is_never_put_aside(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            await bus.publish(SUBJECT, b"kept")
            server.kill()
    (streams_in(tmp_path) / "CONFIG" / "meta.sum").unlink()
    assert put_aside(tmp_path / "nats") == []


async def test_streams_that_are_as_they_should_be_are_not_written_anew(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            written = {one: one.stat().st_mtime_ns for one in tmp_path.rglob("meta.inf")}
            assert len(written) > 20
            await ensure_streams(bus.js, SHARDS)
            assert {one: one.stat().st_mtime_ns for one in tmp_path.rglob("meta.inf")} == written


async def test_a_limit_that_a_rule_no_longer_has_is_taken_from_its_stream(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            limited = StreamRule(subjects.CONFIG, ("config.>",), per_subject=1, max_age_s=600.0)
            await bus.js.update_stream(config_of(limited))
            await ensure_streams(bus.js, SHARDS)
            assert not (await bus.js.stream_info(subjects.CONFIG)).config.max_age
