"""What is kept is given up when it is due, and never while a job can still ask for it."""

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_host.adapters.blobs.shelves import ObstoreShelves
from ci_host.adapters.nats.caches import NatsCacheRecords
from ci_host.blob_ports import CacheRecord
from ci_host.engine.retention import SETTLED_S, Retention, Swept, beyond
from pipelines.cache import Cache, Entry
from pipelines.job import JobRequest, JobSpec, ShellStep, Source
from pipelines.manifest import blob_path
from pipelines.trust import Tier
from runners import artifacts
from runners.blobs import Blobs
from runners.caches import Caches
from runners.link.nats import NatsLink
from runners.progress import Progress
from tests.servers import bus_of, nats_server

pytestmark = [pytest.mark.anyio, pytest.mark.nats]

DAY_S = 86_400.0


class Keeping:
    """A runner's side and the host's of one blob store, and a clock."""

    def __init__(self, root: Path, bus, link: NatsLink) -> None:
        self.root = root
        self.url = f"file://{root}/kept"
        self.store = Blobs(self.url)
        self.link = link
        self.records = NatsCacheRecords(bus)
        self.now = 0.0

    async def sweep(self, days_later: float, **more) -> Swept:
        base = max(path.stat().st_mtime for path in (self.root / "kept").rglob("*"))
        shelves = ObstoreShelves(self.url)
        limits = {"artifacts_s": 30 * DAY_S, "logs_s": 60 * DAY_S, "cache_bytes_max": 250, **more}
        return await Retention(
            shelves, self.records, now=lambda: base + days_later * DAY_S, **limits
        ).sweep()

    def job(self, name: str, content: bytes, **asked) -> tuple[JobSpec, Path]:
        """A job that is over, and the workspace that it left."""
        workspace = self.root / name
        workspace.mkdir()
        (workspace / "x").write_bytes(content)
        request = JobRequest(steps=[ShellStep(run="true")], **asked)
        source = Source(mirror="", commit="")
        return JobSpec(
            id=f"0-a.{name}.1",
            run="0-a",
            key=name,
            attempt=1,
            request=request,
            source=source,
            repo="me/app",
            tier=Tier.TRUSTED,
            ref="refs/heads/main",
        ), workspace

    async def artifact(self, name: str, content: bytes) -> str:
        spec, workspace = self.job(name, content, artifacts={"x": ["x"]})
        return (await artifacts.keep(spec, workspace, self.store)).artifacts[0].digest

    async def cache(self, name: str, content: bytes, at: float) -> None:
        spec, workspace = self.job(name, content, caches=[Cache(name=name, paths=["x"])])
        caches = Caches(
            spec, workspace, store=self.store, index=self.link, now=at, progress=Progress()
        )
        assert await caches.save() == []

    async def found(self, name: str) -> bytes | None:
        """What a job with this cache begins with."""
        spec, workspace = self.job(f"{name}-later", b"", caches=[Cache(name=name, paths=["x"])])
        (workspace / "x").unlink()
        caches = Caches(
            spec, workspace, store=self.store, index=self.link, now=0.0, progress=Progress()
        )
        await caches.restore(None)
        return (workspace / "x").read_bytes() if (workspace / "x").exists() else None

    def pieces(self) -> int:
        return sum(path.is_file() for path in (self.root / "kept" / "pieces").rglob("*"))


@pytest.fixture
async def keeping(tmp_path: Path):
    with nats_server(tmp_path / "nats") as server:
        async with bus_of(server) as bus:
            link = await NatsLink.connect(server.url, pool="default", name="test")
            yield Keeping(tmp_path, bus, link)
            await link.close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()


async def test_artifacts_go_by_age_and_a_piece_with_the_last_that_names_it(keeping):
    old = await keeping.artifact("a", b"a" * 100)
    await keeping.artifact("b", b"a" * 100 + b"b")
    assert keeping.pieces() == 2
    assert await keeping.sweep(29.0) == Swept()
    path = keeping.root / "kept" / blob_path(old, artifacts.shelf_of_spec(keeping.job("c", b"")[0]))
    before = path.stat().st_mtime - 2 * DAY_S
    os.utime(path, (before, before))
    swept = await keeping.sweep(29.0)
    assert (swept.artifacts, swept.pieces) == (1, 1)
    assert keeping.pieces() == 1
    swept = await keeping.sweep(31.0)
    assert (swept.artifacts, swept.pieces) == (1, 1)
    assert keeping.pieces() == 0


async def test_the_longest_unused_caches_go_first_and_the_rest_is_found_whole(keeping):
    for number, name in enumerate(("one", "two", "three")):
        await keeping.cache(name, name.encode() * 30, at=float(number))
    swept = await keeping.sweep(2.0)
    # 90, 90 and 150 bytes: the oldest is one too many.
    assert (swept.caches, swept.pieces) == (1, 1)
    assert await keeping.found("one") is None
    assert await keeping.found("two") == b"two" * 30
    assert await keeping.found("three") == b"three" * 30
    assert await keeping.sweep(2.0) == Swept()


async def test_what_is_young_is_left_whoever_may_still_come_to_name_it(keeping):
    await keeping.cache("one", b"1" * 300, at=0.0)
    swept = await keeping.sweep(0.9)
    assert (swept.caches, swept.pieces) == (1, 0)
    assert keeping.pieces() == 1
    assert (await keeping.sweep(1.1)).pieces == 1


async def test_a_piece_that_is_put_anew_after_it_was_listed_stays(keeping):
    await keeping.artifact("a", b"a" * 100)
    shelves = ObstoreShelves(keeping.url)
    (piece,) = [one async for one in shelves.listed("pieces")]
    path = keeping.root / "kept" / blob_path(piece.digest, piece.shelf)
    os.utime(path, (piece.at + 5, piece.at + 5))
    assert not await shelves.remove(piece)
    assert path.exists()


async def test_one_piece_on_two_shelves_goes_only_with_both(keeping):
    await keeping.artifact("a", b"same" * 10)
    await keeping.cache("c", b"same" * 10, at=0.0)
    assert keeping.pieces() == 1
    swept = await keeping.sweep(31.0)
    assert (swept.artifacts, swept.pieces) == (1, 0)
    assert await keeping.found("c") == b"same" * 10


RECORDS = st.lists(
    st.builds(
        lambda number, owner, size, at: CacheRecord(
            subject=f"s{number}",
            owner=owner,
            shelf="x",
            entry=Entry(digest="", size=size, files=1, at=at, job=""),
        ),
        st.integers(),
        st.sampled_from(["a", "b"]),
        st.integers(0, 100),
        st.integers(0, 9).map(float),
    ),
    unique_by=lambda record: record.subject,
)


@given(RECORDS, st.integers(0, 200))
def test_no_owner_keeps_more_than_it_may_and_none_loses_the_newest_for_an_older_one(
    records: list[CacheRecord], most: int
) -> None:
    over = beyond(records, most)
    for owner in ("a", "b"):
        mine = [record for record in records if record.owner == owner]
        left = [record for record in mine if record not in over]
        assert sum(record.entry.size for record in left) <= most
        for gone in over:
            if gone.owner == owner:
                newer = [one for one in mine if one.entry.at >= gone.entry.at]
                assert sum(one.entry.size for one in newer) > most


def test_a_runner_puts_anew_what_a_sweep_might_come_to_give_up() -> None:
    from runners.blobs import FRESH

    assert FRESH.total_seconds() <= SETTLED_S / 2
    assert msgspec.structs.fields(Swept)
