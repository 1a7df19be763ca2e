"""How far a job's files are: counted as they come and go, told while they do."""

import hashlib

import pytest

from pipelines.job import Moving
from runners.blobs import Blobs
from runners.progress import CountedStore, Progress

pytestmark = pytest.mark.anyio


async def test_what_goes_and_comes_is_counted_from_the_beginning_of_each_act():
    progress = Progress()
    store = CountedStore(Blobs("memory:///"), progress).of("a job")
    content = b"x" * 1_000
    digest = hashlib.sha256(content).hexdigest()
    assert progress.told() is None
    progress.begin("keeps its files")
    assert progress.told() == Moving(doing="keeps its files", done=0)
    assert await store.put(digest, content)
    assert not await store.put(digest, content)
    assert progress.told() == Moving(doing="keeps its files", done=2_000)
    progress.end()
    assert progress.told() is None
    progress.begin("gets its files")
    progress.expect(3_000)
    progress.expect(1_000)
    assert await store.get(digest) == content
    assert progress.told() == Moving(doing="gets its files", done=1_000, of=4_000)
    assert progress.moved == 3_000
