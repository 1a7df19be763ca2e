"""Packing: from files that a job left in a folder to a Manifest, their bytes put into a blob store.

Here: walking, reading and cutting. What lies there was made by somebody who means no good: nothing
is followed, and only regular files are opened. Writing files back is `unpacking`.
"""

import asyncio
import hashlib
import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from pathspec import PathSpec

from pipelines.manifest import (
    CHUNK_BYTES,
    SMALL_BYTES,
    BadManifest,
    Entry,
    File,
    Folder,
    Link,
    Manifest,
    manifest_of,
)
from runners.ports import BlobStore

PIECES_AT_ONCE = 4
SHARED_ON_AVERAGE = 128
LOOKED_AT_MAX = 2_000_000
DEPTH_MAX = 200
# Entries between two moments in which the agent can do something else.
OFTEN = 256
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
    pieces = _Pieces(store)
    try:
        await _add_all(root, patterns_of(patterns), pieces)
        return await pieces.finish()
    finally:
        pieces.drop()


async def _add_all(root: Path, wanted: PathSpec[Any], pieces: "_Pieces") -> None:
    folders: set[str] = set()
    for number, found in enumerate(_walk(root)):
        if number % OFTEN == 0:
            await asyncio.sleep(0)
        if number > LOOKED_AT_MAX:
            raise BadManifest(f"there are more than {LOOKED_AT_MAX} files and folders to look at")
        is_folder = stat.S_ISDIR(found.mode)
        said = wanted.check_file(f"{found.path}/" if is_folder else found.path).include
        # Whatever nothing is said of goes with its folder.
        if not (found.path.rpartition("/")[0] in folders if said is None else said):
            continue
        if is_folder:
            folders.add(found.path)
            pieces.add(Folder(path=found.path))
        elif stat.S_ISLNK(found.mode):
            target = os.readlink(found.name, dir_fd=found.parent)
            pieces.add(Link(path=found.path, target=target))
        elif stat.S_ISREG(found.mode):
            await pieces.add_file(found)


def patterns_of(lines: Sequence[str]) -> PathSpec[Any]:
    """`dist` is the one in the root, `**/dist` any."""
    return PathSpec.from_lines("gitignore", [_anchored(line) for line in lines])


def _anchored(line: str) -> str:
    negation, pattern = ("!", line[1:]) if line.startswith("!") else ("", line)
    return f"{negation}/{pattern.removeprefix('./').lstrip('/')}"


def _walk(root: Path) -> Iterator[_Found]:
    """Everything below the root, links as such. Each folder is opened from the one above it."""
    top = os.fsencode(root)
    for folder, names, others, descriptor in os.fwalk(top, follow_symlinks=False):
        below = folder[len(top) :].strip(b"/")
        if below.count(b"/") > DEPTH_MAX:
            raise BadManifest(f"{below[:80].decode(errors='replace')!r}… has too many levels")
        # The walk goes on in this order: the same tree makes the same pieces, on any file system.
        names.sort()
        for name in sorted([*names, *others]):
            path = os.path.join(below, name)
            try:
                text, mode = path.decode(), os.lstat(name, dir_fd=descriptor).st_mode
            except UnicodeDecodeError as error:
                raise BadManifest(f"{os.fsdecode(path)!r} has a name that is no UTF-8") from error
            yield _Found(path=text, name=os.fsdecode(name), parent=descriptor, mode=mode)


Digest = asyncio.Task[str]


class _Pieces:
    """Makes entries of files, one after another, and pieces on their way to the store."""

    def __init__(self, store: BlobStore) -> None:
        self._uploads = _Uploads(store)
        # What their pieces are called is known when all are read.
        self._entries: list[tuple[Entry, list[Digest]]] = []
        self._shared = bytearray()
        self._sharing: list[File] = []

    def add(self, entry: Entry) -> None:
        """What has no bytes."""
        self._entries.append((entry, []))

    async def add_file(self, found: _Found) -> None:
        """Read it, as far as it is then."""
        descriptor = os.open(found.name, READ_ONLY, dir_fd=found.parent)
        try:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise BadManifest(f"{found.path!r} was replaced while it was read")
            executable = bool(facts.st_mode & stat.S_IXUSR)
            if facts.st_size <= SMALL_BYTES:
                await self._share(found.path, os.read(descriptor, SMALL_BYTES), executable)
                return
            chunks, size = [], 0
            while piece := await asyncio.to_thread(_read_whole, descriptor):
                chunks.append(await self._uploads.add(piece))
                size += len(piece)
            file = File(path=found.path, size=size, chunks=[], executable=executable)
            self._entries.append((file, chunks))
        finally:
            os.close(descriptor)

    async def _share(self, path: str, content: bytes, executable: bool) -> None:
        if len(self._shared) + len(content) > CHUNK_BYTES:
            await self._end_of_sharing()
        offset = len(self._shared) if content else 0
        file = File(path=path, size=len(content), chunks=[], offset=offset, executable=executable)
        self._shared += content
        self._sharing.append(file)
        # Where a piece ends is a matter of names: one file more changes one piece, not all after.
        if zlib.crc32(path.encode()) % SHARED_ON_AVERAGE == 0:
            await self._end_of_sharing()

    async def _end_of_sharing(self) -> None:
        chunks = [await self._uploads.add(bytes(self._shared))] if self._shared else []
        self._entries += [(file, chunks if file.size else []) for file in self._sharing]
        self._shared.clear()
        self._sharing.clear()

    async def finish(self) -> Packed:
        """Once all is stored. Raises BadManifest, Unavailable."""
        await self._end_of_sharing()
        await self._uploads.finish()
        entries = [_named(entry, chunks) for entry, chunks in self._entries]
        return Packed(manifest=manifest_of(entries), stored=self._uploads.stored)

    def drop(self) -> None:
        """What is on its way is not needed."""
        self._uploads.drop()


def _named(entry: Entry, chunks: list[Digest]) -> Entry:
    if not isinstance(entry, File):
        return entry
    return msgspec.structs.replace(entry, chunks=[chunk.result() for chunk in chunks])


def _read_whole(descriptor: int) -> bytes:
    """A piece; a read may bring less than asked for long before the end."""
    parts, left = [], CHUNK_BYTES
    while left and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class _Uploads:
    """Pieces on their way, a few at a time, so that one is hashed while others are read and stored;
    each digest is stored once."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._known: set[str] = set()
        self._slots = asyncio.Semaphore(PIECES_AT_ONCE)
        self._tasks: list[Digest] = []
        self.stored = 0

    async def add(self, piece: bytes) -> Digest:
        """What its digest will be; it is stored by `finish` at the latest."""
        await self._slots.acquire()
        task = asyncio.create_task(self._put(piece))
        self._tasks.append(task)
        return task

    async def _put(self, piece: bytes) -> str:
        try:
            digest = (await asyncio.to_thread(hashlib.sha256, piece)).hexdigest()
            if digest not in self._known:
                self._known.add(digest)
                if await self._store.put(digest, piece):
                    self.stored += len(piece)
            return digest
        finally:
            self._slots.release()

    async def finish(self) -> None:
        """Until all are stored. Raises what stopped one of them."""
        await asyncio.gather(*self._tasks)

    def drop(self) -> None:
        """Stop what is on its way; what is over already is not asked how it ended."""
        for task in self._tasks:
            if not task.cancel() and not task.cancelled():
                task.exception()
