"""Unpacking: the files of a Manifest, made below a folder in which nothing of the job runs yet.

Here: writing. Each part of a path is opened from the one above it and never through a link, so a
tree that was put there before cannot lead the next one elsewhere. Reading files is `packing`.
"""

import asyncio
import contextlib
import os
import stat
from pathlib import Path

import msgspec

from pipelines.manifest import BadManifest, File, Folder, Link, Manifest, check
from runners.ports import BlobStore

PIECES_AHEAD = 4
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
    with contextlib.ExitStack() as stack:
        place = _Place(root, stack, owner)
        for entry in manifest.entries:
            place.enter(entry.path)
            match entry:
                case Folder():
                    place.make_folder()
                case Link():
                    place.make_link(entry.target)
                case File():
                    await _write(place.make_file(executable=entry.executable), entry, store)


async def _write(descriptor: int, file: File, store: BlobStore) -> None:
    """Its pieces in order, some of which are fetched ahead."""
    ahead: list[asyncio.Task[bytes]] = []
    rest = iter(file.chunks)
    try:
        for digest in rest:
            ahead.append(asyncio.create_task(store.get(digest)))
            if len(ahead) < PIECES_AHEAD:
                continue
            await _append(descriptor, await ahead.pop(0))
        for task in ahead:
            await _append(descriptor, await task)
        if os.fstat(descriptor).st_size != file.size:
            raise BadManifest(f"{file.path!r} has pieces of another size than it says")
    finally:
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)
        os.close(descriptor)


async def _append(descriptor: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[await asyncio.to_thread(os.write, descriptor, view) :]


class _Place:
    """Where in the tree the next entry is made: the folders above it, open."""

    def __init__(self, root: Path, stack: contextlib.ExitStack, owner: Owner | None) -> None:
        self._owner = owner
        self._path = ""
        self._open: list[tuple[str, int]] = []
        self._top = os.open(root, DIRECTORY)
        stack.callback(self._close)

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

    def _close(self) -> None:
        for _, descriptor in self._open:
            os.close(descriptor)
        os.close(self._top)
