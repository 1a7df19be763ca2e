"""Manifest: a tree of files as a list, their bytes named by digest. What artifacts and caches are.

Here: the entries, and what a list must fulfil before anybody makes files of it. There is no archive
format, so there is nothing to unpack that could name a place outside: an entry is a path below one
folder, and every part of the path but the last is a directory of the same list. How files are read
and written is the runner's; where the bytes are kept is a blob store's.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence

import msgspec

CHUNK_BYTES = 4_194_304
SMALL_BYTES = 65_536
ENTRIES_MAX = 200_000
TREE_BYTES_MAX = 10_737_418_240
PATH_BYTES_MAX = 4_096
NAME_BYTES_MAX = 255
MANIFEST_BYTES_MAX = 67_108_864

# What lies in a blob store: the pieces of all files on one shelf, each Repo's Manifests on its own.
PIECES, ARTIFACTS, CACHES, LOGS = "pieces", "artifacts", "caches", "logs"

DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class BadManifest(Exception):
    """A list that no tree can be made of; the message names the entry."""


class File(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="file"):
    """A regular file of `size` bytes. `chunks`: the SHA-256 of each CHUNK_BYTES, the last of less.

    One of at most SMALL_BYTES shares its chunk with its neighbours: it begins there at `offset`.
    `executable` is all that is kept of its mode.
    """

    path: str
    size: int
    chunks: list[str]
    offset: int = 0
    executable: bool = False


class Link(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="link"):
    """A symbolic link. `target` is only written down: nobody outside the sandbox follows it."""

    path: str
    target: str


class Folder(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="folder"):
    """A directory."""

    path: str


Entry = File | Link | Folder


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One tree, in the order of the paths' parts: a folder is before what is in it."""

    entries: list[Entry]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries if isinstance(entry, File))


def manifest_of(entries: Iterable[Entry]) -> Manifest:
    """In order, with the folders that are implied, and checked. Raises BadManifest."""
    given = list(entries)
    there = {entry.path for entry in given}
    implied = {parent for path in there for parent in _parents(path)} - there
    everything = [*given, *(Folder(path=path) for path in implied)]
    manifest = Manifest(entries=sorted(everything, key=lambda entry: entry.path.split("/")))
    check(manifest.entries)
    return manifest


def encode(manifest: Manifest) -> bytes:
    """The same tree is the same bytes."""
    return msgspec.json.encode(manifest)


def decode(content: bytes) -> Manifest:
    """Raises BadManifest for what is none, or could not be a tree."""
    if len(content) > MANIFEST_BYTES_MAX:
        raise BadManifest(f"a list of {len(content)} bytes; at most {MANIFEST_BYTES_MAX} are read")
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadManifest(f"no list of files: {error}") from error
    check(manifest.entries)
    return manifest


def check(entries: Sequence[Entry]) -> None:
    """Raises BadManifest unless these are one tree below one folder, within the limits."""
    if len(entries) > ENTRIES_MAX:
        raise BadManifest(f"{len(entries)} files and folders; at most {ENTRIES_MAX} are kept")
    folders: set[str] = set()
    seen: set[str] = set()
    total = 0
    for entry in entries:
        _check_path(entry.path)
        if entry.path in seen:
            raise BadManifest(f"{entry.path!r} is there twice")
        parent = entry.path.rpartition("/")[0]
        if parent and parent not in folders:
            raise BadManifest(f"{entry.path!r} comes before its folder, or that is none")
        seen.add(entry.path)
        match entry:
            case Folder():
                folders.add(entry.path)
            case Link():
                _check_target(entry)
            case File():
                _check_chunks(entry)
                total += entry.size
    if total > TREE_BYTES_MAX:
        raise BadManifest(f"{total} bytes; at most {TREE_BYTES_MAX} are kept")


def chunk_sizes(size: int) -> list[int]:
    """How a file of `size` bytes is cut."""
    whole, rest = divmod(size, CHUNK_BYTES)
    return [CHUNK_BYTES] * whole + ([rest] if rest else [])


def shelf_of(repo: str) -> str:
    """The shelf of a Repo's Manifests, by its id: another one's digests are not found there."""
    return f"{ARTIFACTS}/{hashlib.sha256(repo.encode()).hexdigest()[:32]}"


def blob_path(digest: str, shelf: str) -> str:
    """Where a blob lies: spread over folders, because some file systems dislike large ones."""
    return f"{shelf}/{digest[:2]}/{digest}"


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _check_path(path: str) -> None:
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise BadManifest(f"{path!r} is no plain path below a folder")
    if "\x00" in path or _bytes_of(path) > PATH_BYTES_MAX:
        raise BadManifest(f"{path[:80]!r} is no path that a file can have")
    if any(_bytes_of(part) > NAME_BYTES_MAX for part in parts):
        raise BadManifest(f"{path[:80]!r} has a name longer than {NAME_BYTES_MAX} bytes")


def _bytes_of(text: str) -> int:
    try:
        return len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise BadManifest(f"{text!r} is not Unicode text") from error


def _check_target(link: Link) -> None:
    if not link.target or "\x00" in link.target or _bytes_of(link.target) > PATH_BYTES_MAX:
        raise BadManifest(f"the link {link.path!r} has a target that no link can have")


def _check_chunks(file: File) -> None:
    if file.size < 0 or len(file.chunks) != len(chunk_sizes(file.size)):
        raise BadManifest(f"{file.path!r} has {len(file.chunks)} pieces for {file.size} bytes")
    if file.offset and not (
        0 < file.offset <= CHUNK_BYTES - file.size and file.size <= SMALL_BYTES
    ):
        raise BadManifest(f"{file.path!r} begins at {file.offset}, where it cannot be in a piece")
    if not all(DIGEST.match(chunk) for chunk in file.chunks):
        raise BadManifest(f"{file.path!r} names a piece by something that is no SHA-256")
