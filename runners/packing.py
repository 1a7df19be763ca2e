"""Packing: from files that a job left in a folder to a Manifest, their bytes put into a blob store.

Here: walking, reading and cutting. What lies there was made by somebody who means no good: nothing
is followed, and only regular files are opened. Writing files back is `unpacking`.
"""

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from pathspec import PathSpec

from pipelines.manifest import CHUNK_BYTES, BadManifest, Entry, File, Folder, Link, Manifest
from pipelines.manifest import manifest_of as listed
from runners.ports import BlobStore

PIECES_AT_ONCE = 4
READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """What was packed. `stored` bytes were new to the store."""

    manifest: Manifest
    stored: int


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """Something below the root. `parent` is open while it is looked at."""

    path: str
    name: str
    parent: int
    mode: int


async def pack(root: Path, patterns: Sequence[str], store: BlobStore) -> Packed:
    """What `patterns` name below `root`: as in a .gitignore, but always from the root on.

    A folder stands for all that is in it; `!` takes out again. Sockets, pipes and devices are left
    out. Raises BadManifest where it cannot be kept (too much, names that are no Unicode), and
    Unavailable.
    """
    uploads = _Uploads(store)
    entries = [entry async for entry in _entries(root, patterns_of(patterns), uploads)]
    await uploads.finish()
    return Packed(manifest=listed(entries), stored=uploads.stored)


def patterns_of(lines: Sequence[str]) -> PathSpec[Any]:
    """`dist` is the one in the root, `**/dist` any."""
    return PathSpec.from_lines("gitignore", [_anchored(line) for line in lines])


def _anchored(line: str) -> str:
    negation, pattern = ("!", line[1:]) if line.startswith("!") else ("", line)
    return f"{negation}/{pattern.removeprefix('./').lstrip('/')}"


async def _entries(root: Path, wanted: PathSpec[Any], uploads: "_Uploads") -> AsyncIterator[Entry]:
    folders: set[str] = set()
    for found in _walk(root):
        is_folder = stat.S_ISDIR(found.mode)
        said = wanted.check_file(f"{found.path}/" if is_folder else found.path).include
        # Whatever nothing is said of goes with its folder.
        if not (found.path.rpartition("/")[0] in folders if said is None else said):
            continue
        if is_folder:
            folders.add(found.path)
            yield Folder(path=found.path)
        elif stat.S_ISLNK(found.mode):
            yield Link(path=found.path, target=os.readlink(found.name, dir_fd=found.parent))
        elif stat.S_ISREG(found.mode):
            yield await _file(found, uploads)


def _walk(root: Path) -> Iterator[_Found]:
    """Everything below the root, links as such. Each folder is opened from the one above it."""
    top = os.fsencode(root)
    for folder, names, others, descriptor in os.fwalk(top, follow_symlinks=False):
        below = folder[len(top) :].strip(b"/")
        for name in sorted([*names, *others]):
            path = os.path.join(below, name)
            try:
                text, mode = path.decode(), os.lstat(name, dir_fd=descriptor).st_mode
            except UnicodeDecodeError as error:
                raise BadManifest(f"{os.fsdecode(path)!r} has a name that is no UTF-8") from error
            yield _Found(path=text, name=os.fsdecode(name), parent=descriptor, mode=mode)


async def _file(found: _Found, uploads: "_Uploads") -> File:
    descriptor = os.open(found.name, READ_ONLY, dir_fd=found.parent)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise BadManifest(f"{found.path!r} was replaced while it was read")
        chunks, size = [], 0
        while True:
            piece = await asyncio.to_thread(os.read, descriptor, CHUNK_BYTES)
            # A read may bring less than asked for before the end; a piece may not.
            while piece and len(piece) < CHUNK_BYTES:
                more = os.read(descriptor, CHUNK_BYTES - len(piece))
                if not more:
                    break
                piece += more
            if not piece:
                break
            chunks.append(await uploads.add(piece))
            size += len(piece)
    finally:
        os.close(descriptor)
    executable = bool(facts.st_mode & stat.S_IXUSR)
    return File(path=found.path, size=size, chunks=chunks, executable=executable)


class _Uploads:
    """Pieces on their way; each digest once, a few at a time."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._known: set[str] = set()
        self._slots = asyncio.Semaphore(PIECES_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self.stored = 0

    async def add(self, piece: bytes) -> str:
        """Its digest; it is stored by `finish` at the latest."""
        digest = (await asyncio.to_thread(hashlib.sha256, piece)).hexdigest()
        if digest not in self._known:
            self._known.add(digest)
            await self._slots.acquire()
            task = asyncio.create_task(self._put(digest, piece))
            self._tasks.add(task)
        return digest

    async def _put(self, digest: str, piece: bytes) -> None:
        try:
            if await self._store.put(digest, piece):
                self.stored += len(piece)
        finally:
            self._slots.release()

    async def finish(self) -> None:
        """Until all are stored. Raises what stopped one of them."""
        try:
            await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
