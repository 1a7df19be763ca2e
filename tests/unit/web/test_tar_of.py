"""The tar that people get has just what was kept."""

import hashlib
import io
import tarfile

import pytest

from ci_host.api.artifacts import tar_of
from ci_host.ports import Missing
from pipelines.manifest import (
    CHUNK_BYTES,
    PIECES,
    File,
    Folder,
    Link,
    Manifest,
    manifest_of,
)

pytestmark = pytest.mark.anyio


class Kept:
    """Blobs in a dict."""

    def __init__(self, *blobs: bytes) -> None:
        self.blobs = {hashlib.sha256(blob).hexdigest(): blob for blob in blobs}

    async def get(self, digest: str, shelf: str) -> bytes:
        assert shelf == PIECES
        if digest not in self.blobs:
            raise Missing(digest)
        return self.blobs[digest]


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def test_a_tar_has_every_entry_as_it_was_kept() -> None:
    whole, rest, shared = b"x" * CHUNK_BYTES, b"y" * 10, b"onetwo"
    long_name = "é" * 100
    tree = manifest_of(
        [
            File(path="big", size=CHUNK_BYTES + 10, chunks=[digest_of(whole), digest_of(rest)]),
            File(path="a/one", size=3, chunks=[digest_of(shared)]),
            File(path="a/two", size=3, chunks=[digest_of(shared)], offset=3, executable=True),
            File(path="a/none", size=0, chunks=[]),
            Link(path=f"a/{long_name}", target="../" * 60),
            Folder(path="z"),
        ]
    )
    content = b"".join([part async for part in tar_of(tree, Kept(whole, rest, shared))])
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = {one.name: one for one in archive.getmembers()}
        read = {
            name: archive.extractfile(one).read()  # type: ignore[union-attr]
            for name, one in members.items()
            if one.isreg()
        }
    assert [entry.path for entry in tree.entries] == list(members)
    assert read == {"big": whole + rest, "a/one": b"one", "a/two": b"two", "a/none": b""}
    assert [name for name, one in members.items() if one.mode == 0o755] == ["a", "a/two", "z"]
    assert members[f"a/{long_name}"].linkname == "../" * 60


async def test_a_piece_that_is_gone_ends_the_tar_with_an_error() -> None:
    tree = Manifest(entries=[File(path="a", size=1, chunks=["0" * 64])])
    with pytest.raises(Missing):
        _ = [part async for part in tar_of(tree, Kept())]
