"""Unpacking: the files of a Manifest, made below a folder in which nothing of the job runs yet.

Here: writing. Each part of a path is opened from the one above it and never through a link, so a
tree that was put there before cannot lead the next one elsewhere. Reading files is `packing`.
"""

import asyncio
import contextlib
import itertools
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec

import msgspec

from pipelines.manifest import (
    CHUNK_BYTES,
    SMALL_BYTES,
    BadManifest,
    Entry,
    File,
    Folder,
    Link,
    Manifest,
    check,
    chunk_sizes,
)
from runners.ports import BlobStore

P = ParamSpec("P")

PIECES_AHEAD = 4
# Entries that are made in one go.
OFTEN = 256
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose the files become."""

    uid: int
    gid: int


async def unpack(
    manifest: Manifest, root: Path, store: BlobStore, owner: Owner | None = None
) -> None:
    """Make the tree in `root`, which exists; a file or link that is there already is replaced.

    Raises BadManifest where something is in the way, Missing where bytes are not kept any more or
    damaged, Unavailable. What was made until then is left.
    """
    check(manifest.entries)
    files = (entry for entry in manifest.entries if isinstance(entry, File))
    pieces = _Ahead(store, (digest for file in files for digest in file.chunks))
    place = _Place(root, owner)
    made = _Made(place)
    try:
        for entry in manifest.entries:
            if isinstance(entry, File) and entry.size > SMALL_BYTES:
                await made.finish()
                await _write_large(place, entry, pieces)
            else:
                shared = entry.chunks[:1] if isinstance(entry, File) else []
                await made.add(entry, await pieces.next(shared[0]) if shared else b"")
        await made.finish()
    finally:
        place.close()
        await pieces.close()


async def _write_large(place: "_Place", file: File, pieces: "_Ahead") -> None:
    place.enter(file.path)
    descriptor = place.make_file(executable=file.executable)
    try:
        for digest, size in zip(file.chunks, chunk_sizes(file.size), strict=True):
            piece = _part(file, await pieces.next(digest), 0, size)
            await _aside(_append, descriptor, piece)
    finally:
        os.close(descriptor)


def _part(file: File, piece: bytes, offset: int, size: int) -> memoryview:
    part = memoryview(piece)[offset : offset + size]
    if len(part) != size:
        raise BadManifest(f"{file.path!r} has a piece of another size than it says")
    return part


class _Made:
    """Folders, links and small files, many at a time in a thread: meanwhile pieces are fetched."""

    def __init__(self, place: "_Place") -> None:
        self._place = place
        self._waiting: list[tuple[Entry, bytes]] = []
        self._bytes = 0
        self._last = b""

    async def add(self, entry: Entry, piece: bytes) -> None:
        """`piece` has the bytes of a file. It is made by `finish` at the latest."""
        if piece is not self._last:
            self._last = piece
            self._bytes += len(piece)
        self._waiting.append((entry, piece))
        if len(self._waiting) >= OFTEN or self._bytes >= CHUNK_BYTES:
            await self.finish()

    async def finish(self) -> None:
        """Until all are made."""
        some, self._waiting = self._waiting, []
        self._bytes, self._last = 0, b""
        if some:
            await _aside(self._make, some)

    def _make(self, some: list[tuple[Entry, bytes]]) -> None:
        for entry, piece in some:
            self._place.enter(entry.path)
            match entry:
                case Folder():
                    self._place.make_folder()
                case Link():
                    self._place.make_link(entry.target)
                case File():
                    self._make_file(entry, piece)

    def _make_file(self, file: File, piece: bytes) -> None:
        part = _part(file, piece, file.offset, file.size)
        descriptor = self._place.make_file(executable=file.executable)
        try:
            _append(descriptor, part)
        finally:
            os.close(descriptor)


async def _aside(call: Callable[P, None], *arguments: P.args, **more: P.kwargs) -> None:
    """In a thread, which is waited for even by a cancelled caller: it then closes the files."""
    working = asyncio.ensure_future(asyncio.to_thread(call, *arguments, **more))
    try:
        await asyncio.shield(working)
    finally:
        await asyncio.wait({working})


def _append(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]


def _umask() -> int:
    """This process's, which cannot be asked for in another way without changing it."""
    with open("/proc/self/status", encoding="ascii") as status:
        said = next((line for line in status if line.startswith("Umask:")), "Umask: 0777")
    return int(said.split()[1], 8)


class _Ahead:
    """The pieces in the order in which they are needed, some of them fetched before that."""

    def __init__(self, store: BlobStore, digests: Iterator[str]) -> None:
        self._store = store
        self._rest = (digest for digest, _ in itertools.groupby(digests))
        self._ahead: deque[asyncio.Task[bytes]] = deque()
        self._last: tuple[str, bytes] = ("", b"")

    async def next(self, digest: str) -> bytes:
        """The next one, or the last one again."""
        if digest != self._last[0]:
            for later in itertools.islice(self._rest, PIECES_AHEAD - len(self._ahead)):
                self._ahead.append(asyncio.create_task(self._store.get(later)))
            self._last = (digest, await self._ahead.popleft())
        return self._last[1]

    async def close(self) -> None:
        """What is still on its way is not needed."""
        for task in self._ahead:
            task.cancel()
        await asyncio.gather(*self._ahead, return_exceptions=True)


class _Place:
    """Where in the tree the next entry is made: the folders above it, open."""

    def __init__(self, root: Path, owner: Owner | None) -> None:
        self._owner = owner
        self._umask = _umask()
        self._path = ""
        self._open: list[tuple[str, int]] = []
        self._top = os.open(root, DIRECTORY)

    def enter(self, path: str) -> None:
        """Go to the folder of `path`. Entries come in order, so most are where the last one was."""
        self._path = path
        folders = path.split("/")[:-1]
        kept = 0
        while kept < min(len(folders), len(self._open)) and self._open[kept][0] == folders[kept]:
            kept += 1
        while len(self._open) > kept:
            os.close(self._open.pop()[1])
        for name in folders[kept:]:
            try:
                self._open.append((name, os.open(name, DIRECTORY, dir_fd=self._here)))
            except OSError as error:
                raise BadManifest(f"{path!r}: {name!r} is no folder here: {error}") from error

    def make_folder(self) -> None:
        """It may be there; anything else in its place is in the way."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._name, 0o755, dir_fd=self._here)
            self._give()
        if not stat.S_ISDIR(os.lstat(self._name, dir_fd=self._here).st_mode):
            raise BadManifest(f"{self._path!r} is to be a folder, and something else is there")

    def make_link(self, target: str) -> None:
        """In the place of what is there."""
        self._clear()
        os.symlink(target, self._name, dir_fd=self._here)
        self._give()

    def make_file(self, *, executable: bool) -> int:
        """A new and empty one, open."""
        mode = 0o755 if executable else 0o644
        try:
            descriptor = os.open(self._name, NEW_FILE, mode, dir_fd=self._here)
        except FileExistsError:
            self._clear()
            descriptor = os.open(self._name, NEW_FILE, mode, dir_fd=self._here)
        if mode & self._umask:
            os.fchmod(descriptor, mode)
        if self._owner is not None:
            os.fchown(descriptor, self._owner.uid, self._owner.gid)
        return descriptor

    def _clear(self) -> None:
        try:
            os.unlink(self._name, dir_fd=self._here)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise BadManifest(f"{self._path!r} cannot be made here: {error}") from error

    def _give(self) -> None:
        if self._owner is not None:
            uid, gid = self._owner.uid, self._owner.gid
            os.chown(self._name, uid, gid, dir_fd=self._here, follow_symlinks=False)

    @property
    def _name(self) -> str:
        return self._path.rpartition("/")[2]

    @property
    def _here(self) -> int:
        return self._open[-1][1] if self._open else self._top

    def close(self) -> None:
        """Nothing more is made."""
        for _, descriptor in self._open:
            os.close(descriptor)
        os.close(self._top)
