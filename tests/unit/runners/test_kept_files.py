"""A job whose blob store is away as it starts: what it begins without, and what it needs."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from pipelines.cache import Cache
from pipelines.job import Placed
from runners import job_directory, workspace
from runners.artifacts import NotKept
from runners.blobs import Blobs
from runners.caches import Caches
from runners.executors.process import Process
from runners.kept_files import KeptFiles
from runners.memory import MemoryLink
from runners.ports import Unavailable
from runners.progress import Progress
from tests.runner_world import make_mirror, make_spec

pytestmark = pytest.mark.anyio

PATIENCE_S = 0.3
PIP = Cache(name="pip", paths=[".pip"])


class Away(Blobs):
    """A store that gives what it keeps up to a point, and is then away."""

    def __init__(self, gives: int) -> None:
        super().__init__("memory:///")
        self.gives = gives

    async def get(self, digest, shelf="pieces"):
        self.gives -= 1
        if self.gives < 0:
            raise Unavailable("the store is away")
        return await super().get(digest, shelf)


@pytest.fixture
def source(tmp_path):
    return make_mirror(tmp_path / "app", {"a.lock": "1\n"})


def kept_files(folder: Path, spec, store, link) -> KeptFiles:
    """Of a job that was just laid out."""
    launch = Process(uid_base=64_000, volumes={}).plan(spec, folder, 0)
    note = workspace.DeliveryNote(slot=0, token="t")
    workspace.create(folder, spec=spec, launch=launch, note=note)
    return KeptFiles(folder, spec, store=store, index=link, now=lambda: 1.0, patience_s=PATIENCE_S)


async def kept_before(tmp_path, spec, store, link):
    """A cache that a job before left, of some files."""
    files = tmp_path / "before" / job_directory.WORKSPACE / ".pip"
    files.mkdir(parents=True)
    for number in range(3):
        (files / str(number)).write_text(f"{number}\n" * 300_000)
    caches = Caches(spec, files.parent, store=store, index=link, now=0.0, progress=Progress())
    assert await caches.save() == []


async def test_a_job_begins_without_its_caches_and_says_so(tmp_path, source):
    store, link = Away(gives=0), MemoryLink()
    spec = make_spec(source, "true", caches=[PIP])
    await kept_before(tmp_path, spec, store, link)
    await kept_files(tmp_path / "job", spec, store, link).place()
    preface = json.loads((tmp_path / "job" / job_directory.PREFACE).read_text())
    said = "cache pip: nothing restored, the blob store could not be reached for 0.3 s"
    assert preface == {"lines": [said]}


@pytest.mark.parametrize("gives", [1, 2])
async def test_nothing_is_left_of_a_cache_that_came_halfway(tmp_path, source, gives):
    store, link = Away(gives=gives), MemoryLink()
    spec = make_spec(source, "true", caches=[PIP])
    await kept_before(tmp_path, spec, store, link)
    await kept_files(tmp_path / "job", spec, store, link).place()
    assert list((tmp_path / "job" / job_directory.WORKSPACE).iterdir()) == []


async def test_a_job_that_needs_files_does_not_begin_without_them(tmp_path, source):
    placed = Placed(digest="0" * 64, name="dist")
    spec = make_spec(source, "true", caches=[PIP], files=[placed])
    job = kept_files(tmp_path / "job", spec, Away(gives=0), MemoryLink())
    with pytest.raises(NotKept, match="the blob store could not be reached"):
        await job.place()


class Slow(Blobs):
    """A store that takes most of a job's patience for each piece."""

    async def get(self, digest, shelf="pieces"):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), PATIENCE_S * 0.6)
        return await Blobs.get(self, digest, shelf)


async def test_a_store_that_is_slow_and_goes_on_is_waited_for(tmp_path, source):
    store, link = Slow("memory:///"), MemoryLink()
    spec = make_spec(source, "true", caches=[PIP])
    await kept_before(tmp_path, spec, store, link)
    job = kept_files(tmp_path / "job", spec, store, link)
    await job.place()
    made = tmp_path / "job" / job_directory.WORKSPACE / ".pip"
    assert sorted(one.name for one in made.iterdir()) == ["0", "1", "2"]
    assert job.progress.moved > 3 * 300_000
    assert job.progress.told() is None
