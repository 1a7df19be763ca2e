"""A log is the same wherever it is: on the bus while its job runs, or kept when it is over."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci_host.adapters.blobs.reading import ObstoreReader
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.log_trimmer import LogTrimmer
from ci_host.api.job_logs import LINE_BYTES_MAX, LastLines, Reader
from ci_host.api.log_blocks import extent, lines_of
from ci_host.api.log_places import LogPlaces
from pipelines import kept_log
from pipelines.ids import JobId
from pipelines.job import LogChunk
from pipelines.kept_log import BadLog, KeptLog, Piece
from runners import kept_logs
from runners.blobs import Blobs
from runners.kept_logs import keep_log
from runners.link.nats import NatsLink
from runners.log_shipper import LogShipper
from runners.ports import Unavailable
from tests.engine.world import until
from tests.servers import bus_of, nats_server

pytestmark = [pytest.mark.anyio, pytest.mark.nats]

JOB = JobId("0-0123456789abcdef0123.unit.1")


class Kept:
    """A job's log, its runner's side and its readers."""

    def __init__(self, root: Path, bus: Any, link: NatsLink) -> None:
        self.path = root / "log"
        self.url = f"file://{root}/kept"
        self.store = Blobs(self.url)
        self.bus = bus
        self.link = link
        services = SimpleNamespace(bus=bus, blobs=ObstoreReader(self.url), places=LogPlaces())
        self.here = cast(Any, services)

    async def ship(self, link: Any = None) -> LogShipper:
        """As the agent does it when the job is over."""
        ended = asyncio.Event()
        ended.set()
        shipper = LogShipper(link or self.link, job=JOB, path=self.path, now=lambda: 1.0)
        await shipper.run(ended)
        return shipper

    async def keep(self) -> None:
        shipper = await self.ship()
        await shipper.seal(await keep_log(self.path, JOB, self.store))

    async def trimmed(self) -> None:
        trimmer = LogTrimmer(self.bus)
        await trimmer.trim_all()
        assert await self.count() == 1

    async def count(self) -> int:
        return len(await self.bus.read(subjects.LOGS, subjects.log(JOB)))

    async def read(self, offset: int = 0) -> str:
        return "".join([one.text async for one in Reader(self.here, JOB, offset).more()])


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    (tmp_path / "nats").mkdir()
    with nats_server(tmp_path / "nats") as server:
        async with bus_of(server) as bus:
            link = await NatsLink.connect(server.url, pool="default", name="test")
            yield Kept(tmp_path, bus, link)
            await link.close()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_logs, "PIECE_BYTES", 1000)


TEXT = "".join(f"line {number}: grüße\n" for number in range(400)) + "no end"


async def test_a_log_reads_the_same_before_and_after_it_is_kept_and_trimmed(kept: Kept) -> None:
    kept.path.write_text(TEXT)
    await kept.ship()
    assert await kept.read() == TEXT
    await kept.keep()
    assert await kept.read() == TEXT, "nothing is told twice while both are there"
    await kept.trimmed()
    assert await kept.read() == TEXT


async def test_whoever_was_reading_goes_on_where_it_was_when_the_chunks_go(kept: Kept) -> None:
    kept.path.write_text(TEXT)
    await kept.ship()
    raw = TEXT.encode()
    half = raw.index(b"line 200")
    reader = Reader(kept.here, JOB, half)
    await kept.keep()
    await kept.trimmed()
    assert "".join([one.text async for one in reader.more()]) == raw[half:].decode()
    assert [one async for one in reader.more()] == []
    assert reader.behind == len(raw)


async def test_a_follower_that_has_read_everything_hears_nothing_new(kept: Kept) -> None:
    kept.path.write_text(TEXT)
    await kept.ship()
    reader = Reader(kept.here, JOB)
    assert "".join([one.text async for one in reader.more()]) == TEXT
    await kept.keep()
    await kept.trimmed()
    assert [one async for one in reader.more()] == []


@pytest.mark.parametrize("is_trimmed", [False, True])
async def test_the_last_lines_are_read_from_near_the_end(kept: Kept, is_trimmed: bool) -> None:
    kept.path.write_text(TEXT)
    await kept.keep()
    if is_trimmed:
        await kept.trimmed()
    size, ends = len(TEXT.encode()), LastLines(kept.here)
    assert await ends.last_lines(JOB, size, 3) == TEXT.split("\n")[-3:]
    assert await ends.last_lines(JOB, size, 1_000) == TEXT.split("\n")
    # Whatever the runner said of its length.
    assert (await ends.last_lines(JOB, 10**12, 3)) == []
    assert await ends.last_lines(JobId("0-0123456789abcdef0123.none.1"), 5, 3) == []


async def test_of_a_line_without_an_end_the_end_is_read(kept: Kept) -> None:
    kept.path.write_text("x" * (3 * LINE_BYTES_MAX))
    await kept.ship()
    (line,) = await LastLines(kept.here).last_lines(JOB, 3 * LINE_BYTES_MAX, 1)
    assert line == "x" * LINE_BYTES_MAX


@pytest.mark.parametrize("is_trimmed", [False, True])
async def test_any_line_is_found_by_its_number(kept: Kept, is_trimmed: bool) -> None:
    kept.path.write_text(TEXT)
    await kept.keep()
    if is_trimmed:
        await kept.trimmed()
    lines = TEXT.split("\n")
    for first, count in ((0, 1), (37, 3), (399, 9), (400, 1), (401, 5)):
        assert await lines_of(kept.here, JOB, first, count) == lines[first : first + count]


@pytest.mark.parametrize("is_trimmed", [False, True])
async def test_a_log_knows_its_lines_and_headings_wherever_it_is(
    kept: Kept, is_trimmed: bool
) -> None:
    groups = "::group::more\nx\n::endgroup::\n"
    kept.path.write_text(f"=== make\n{TEXT}\n{groups}=== make: exit code 0 (1 s)")
    await kept.ship()
    before = await extent(kept.here, JOB)
    assert (before.lines, before.is_open) == (406, True)
    await kept.keep()
    if is_trimmed:
        await kept.trimmed()
    after = await extent(kept.here, JOB)
    assert (after.lines, after.offset, after.is_open) == (before.lines, before.offset, False)
    assert after.headings is not None and before.headings is not None
    assert after.headings[:3] == before.headings
    assert [one.line for one in after.headings] == [0, 402, 404, 405]


async def test_an_agent_that_dies_on_the_way_is_followed_by_one_that_ends_it(kept: Kept) -> None:
    class LostAnswer(NatsLink):
        async def append(self, job: str, chunk: LogChunk, after: int) -> int:
            await super().append(job, chunk, after)
            raise Unavailable("the answer was lost")

    kept.path.write_text(TEXT)
    await kept.ship()
    # Dead after the pieces, before it was told: it is kept anew, and told.
    await keep_log(kept.path, JOB, kept.store)
    shipper = await kept.ship()
    kept.link.__class__ = LostAnswer
    digest = await keep_log(kept.path, JOB, kept.store)
    await shipper.seal(digest)
    kept.link.__class__ = NatsLink
    # Dead after it was told: there is nothing left to do.
    again = await kept.ship()
    count = await kept.count()
    await again.seal(digest)
    assert await kept.count() == count
    await kept.trimmed()
    assert await kept.read() == TEXT


async def test_a_log_is_trimmed_as_soon_as_it_is_kept(kept: Kept) -> None:
    trimming = asyncio.create_task(LogTrimmer(kept.bus).serve())
    kept.path.write_text(TEXT)

    async def is_trimmed() -> bool:
        return await kept.count() == 1

    try:
        await kept.keep()
        await until(is_trimmed)
    finally:
        trimming.cancel()
    assert await kept.read() == TEXT


async def test_a_log_that_is_not_kept_is_never_trimmed(kept: Kept) -> None:
    kept.path.write_text('"kept":"not a mark"\n')
    await kept.ship()
    await LogTrimmer(kept.bus).trim_all()
    assert await kept.read() == '"kept":"not a mark"\n'


async def test_a_log_whose_pieces_are_gone_says_so(kept: Kept) -> None:
    kept.path.write_text(TEXT)
    await kept.keep()
    await kept.trimmed()
    for path in Path(kept.url.removeprefix("file://")).rglob("*"):
        if path.is_file():
            path.unlink()
    said = await kept.read()
    assert said.startswith(f"=== this log of {len(TEXT.encode()):,} bytes is kept no longer")
    assert await lines_of(kept.here, JOB, 3, 1) == [said.strip()]


LOGS = st.lists(st.sampled_from([b"a", b"\n", b"\xc3\xa4", b"\xff", b"x" * 7]), max_size=60)


@given(LOGS, st.integers(4, 30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_every_line_of_any_log_is_found_and_its_pieces_join(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], piece_bytes: int
) -> None:
    content = b"".join(parts)
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_logs, "PIECE_BYTES", piece_bytes)
        index, whole = asyncio.run(_kept_whole(path))
    assert whole == content
    lines = content.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    assert (index.size, index.lines) == (len(content), len(lines))
    for number, line in enumerate(lines):
        offset, first = index.offset_before_line(number)
        assert first <= number
        assert content[offset:].split(b"\n")[number - first] == line


async def _kept_whole(path: Path) -> tuple[KeptLog, bytes]:
    store = Blobs("memory:///")
    digest = await keep_log(path, JOB, store)
    index = kept_log.decode(await store.get(digest, kept_log.shelf_of_log(JOB)))
    parts = [kept_log.unpacked(await store.get(one.digest), one) for one in index.pieces]
    return index, b"".join(parts)


def test_a_piece_never_becomes_more_than_it_says() -> None:
    bomb = kept_log.packed(bytes(50_000_000))
    with pytest.raises(BadLog, match="another size"):
        kept_log.unpacked(bomb, Piece(digest="", offset=0, size=10, line=0))
    with pytest.raises(BadLog, match="cannot be read"):
        kept_log.unpacked(b"no zlib", Piece(digest="", offset=0, size=10, line=0))


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b'{"size":1,"lines":1,"pieces":[{"digest":"","offset":5,"size":1,"line":0}]}',
        b'{"size":1,"lines":1,"pieces":[{"digest":"","offset":0,"size":0,"line":0}]}',
    ],
)
def test_an_index_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(BadLog):
        kept_log.decode(content)
