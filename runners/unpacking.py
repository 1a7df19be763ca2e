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
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pipelines.manifest import (
    SMALL_BYTES,
    BadManifest,
    File,
    Folder,
    Link,
    Manifest,
    check,
    chunk_sizes,
)
from runners.ports import BlobStore

PIECES_AHEAD = 4
# Entries between two moments in which the agent can do something else.
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
    try:
        for number, entry in enumerate(manifest.entries):
            if number % OFTEN == 0:
                await asyncio.sleep(0)
            place.enter(entry.path)
            match entry:
                case Folder():
                    place.make_folder()
                case Link():
                    place.make_link(entry.target)
                case File():
                    await _write(place.make_file(executable=entry.executable), entry, pieces)
    finally:
        place.close()
        await pieces.close()


async def _write(descriptor: int, file: File, pieces: "_Ahead") -> None:
    try:
        for digest, size in zip(file.chunks, chunk_sizes(file.size), strict=True):
            piece = memoryview(await pieces.next(digest))[file.offset : file.offset + size]
            if len(piece) != size:
                raise BadManifest(f"{file.path!r} has a piece of another size than it says")
            if size <= SMALL_BYTES:
                _append(descriptor, piece)
            else:
                await _append_aside(descriptor, piece)
    finally:
        os.close(descriptor)


async def _append_aside(descriptor: int, piece: memoryview) -> None:
    """In a thread, which is waited for even by a cancelled caller: it then closes the file."""
    writing = asyncio.ensure_future(asyncio.to_thread(_append, descriptor, piece))
    try:
        await asyncio.shield(writing)
    finally:
        await asyncio.wait({writing})


def _append(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]


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
        self._clear()
        descriptor = os.open(self._name, NEW_FILE, 0o600, dir_fd=self._here)
        os.fchmod(descriptor, 0o755 if executable else 0o644)
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
