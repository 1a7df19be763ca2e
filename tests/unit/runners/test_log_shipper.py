import asyncio
import random

import pytest

from runners.log_shipper import LIVE_BYTES_MAX, LogShipper, cut, whole_characters
from runners.memory import MemoryLink
from runners.ports import Position, TooLarge
from tests.runner_world import until

JOB = "0-abc.unit.1"


def shipper(link, path):
    return LogShipper(link, job=JOB, path=path, now=lambda: 1.0)


async def ship_all(link, path) -> int:
    ended = asyncio.Event()
    ended.set()
    return await shipper(link, path).run(ended)


def offsets_join(link) -> bool:
    offset = 0
    for _, chunk in link.chunks[JOB]:
        if chunk.offset != offset:
            return False
        offset += chunk.size
    return True


@pytest.mark.anyio
async def test_a_log_is_stored_as_it_grows_and_to_its_end(tmp_path):
    link, path, ended = MemoryLink(), tmp_path / "log", asyncio.Event()
    running = asyncio.create_task(shipper(link, path).run(ended))
    with path.open("ab", buffering=0) as log:
        log.write(b"one\n")
        await until(lambda: link.text_of(JOB) == "one\n", "the first line")
        log.write(b"two, not ended")
        await until(lambda: link.text_of(JOB).endswith("not ended"), "half a line")
        log.write(b" yet\n")
    ended.set()
    assert await running == len("one\ntwo, not ended yet\n")
    assert link.text_of(JOB) == "one\ntwo, not ended yet\n"


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(20))
async def test_any_bytes_arrive_whole_however_often_answers_are_lost(tmp_path, seed):
    dice = random.Random(seed)
    alphabet = ["a", "ü", "€", "🎉", "\n", "\0"]
    text = "".join(dice.choices(alphabet, k=200_000))
    path = tmp_path / "log"
    path.write_bytes(text.encode())
    link = MemoryLink()
    link.lose_answers = dice.randrange(5)
    assert await ship_all(link, path) == len(text.encode())
    assert link.text_of(JOB) == text
    assert offsets_join(link)


@pytest.mark.anyio
async def test_a_second_shipper_goes_on_where_the_first_was_cut_off(tmp_path):
    link, path = MemoryLink(), tmp_path / "log"
    path.write_bytes(b"one\n")
    await ship_all(link, path)
    with path.open("ab") as log:
        log.write(b"two\n")
    await ship_all(link, path)
    assert link.text_of(JOB) == "one\ntwo\n"


@pytest.mark.anyio
async def test_a_bus_that_is_away_only_delays(tmp_path):
    link, path = MemoryLink(), tmp_path / "log"
    path.write_bytes(b"one\n")
    link.down = True
    running = asyncio.create_task(ship_all(link, path))
    await asyncio.sleep(0)
    link.down = False
    await running
    assert link.text_of(JOB) == "one\n"


@pytest.mark.anyio
async def test_a_chunk_that_is_too_large_is_sent_in_smaller_ones(tmp_path):
    class Narrow(MemoryLink):
        async def append(self, job, chunk, after):
            if chunk.size > 10_000:
                raise TooLarge
            return await super().append(job, chunk, after)

    link, path = Narrow(), tmp_path / "log"
    path.write_bytes(b"\0" * 100_000)
    await ship_all(link, path)
    assert link.text_of(JOB) == "\0" * 100_000


@pytest.mark.anyio
async def test_a_job_without_a_log_ends_too(tmp_path):
    link = MemoryLink()
    assert await ship_all(link, tmp_path / "log") == 0
    assert await link.end_of(JOB) == Position()


def test_a_cut_character_waits_for_its_rest_but_not_for_ever():
    for character in ("ü", "€", "🎉"):
        data = character.encode()
        for length in range(1, len(data)):
            assert whole_characters(b"x" + data[:length]) == 1
            assert cut(b"x" + data[:length], final=False) == b"x"
        assert whole_characters(data) == len(data)
    assert cut("🎉".encode()[:3], final=True) == "🎉".encode()[:3]
    assert whole_characters(b"\x80" * 5) == 5
    assert whole_characters(b"\xff") == 0 or cut(b"\xff", final=True) == b"\xff"


def test_a_long_piece_ends_with_a_line_and_a_short_one_where_it_ends():
    line = b"x" * 99 + b"\n"
    assert cut(line * 1000 + b"rest", final=False) == line * 1000
    assert cut(b"progress 10%", final=False) == b"progress 10%"
    assert cut(b"x" * LIVE_BYTES_MAX, final=False) == b"x" * LIVE_BYTES_MAX
