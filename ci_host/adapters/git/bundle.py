"""Reading a Bundle out of a mirror: from git's object database alone, never by a checkout.

A checkout would run filters, follow links and fetch submodules at the wish of whoever pushed.
Here a tree is a list of names and a blob is bytes; both are bounded before they are read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ci_host.adapters.git.command import converse
from ci_host.adapters.git.errors import (
    BundleRefused,
    CommitGone,
    FetchFailed,
    NameRefused,
    NoPipeline,
)
from pipelines.bundle import (
    BUNDLE_BYTES_MAX,
    FILE_BYTES_MAX,
    FILES_MAX,
    FOLDER,
    SINGLE,
    TEXT_SUFFIXES,
    Bundle,
)
from pipelines.refs import is_commit

# A repository's root may be large; a pipeline's folders are not.
ROOT_BYTES_MAX = 16 * 1024 * 1024
TREE_BYTES_MAX = 256 * 1024
FOLDERS_MAX = 100
DEPTH_MAX = 10

_TREE, _LINK, _SUBMODULE = b"40000", b"120000", b"160000"


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: bytes
    path: str
    oid: str


def read_bundle(mirror: Path, commit: str) -> Bundle:
    """The pipeline files of a commit: the text files under `.staunch/`, or `.staunch.py`.

    Raises NoPipeline, BundleRefused (names the file, the rule and the way out), or CommitGone
    where the mirror lacks the commit.
    """
    if not is_commit(commit):
        raise NameRefused(f"{commit[:80]!r} is no full commit id (40 or 64 hex digits)")
    with converse(mirror, "cat-file", "--batch-command") as (requests, answers):
        objects = _Objects(requests, answers)
        return Bundle(files=_read_files(objects, _find(objects, commit)))


class _Objects:
    """A conversation with `git cat-file --batch-command`."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests, self._answers = requests, answers

    def sizes(self, names: list[str]) -> list[tuple[str, int] | None]:
        """Id and size of each object, None where there is none; nothing is read."""
        self._send("info", names)
        return [self._header() for _ in names]

    def contents(self, oids: list[str]) -> list[bytes]:
        """The bytes of objects whose sizes have been checked."""
        self._send("contents", oids)
        return [self._content() for _ in oids]

    def _content(self) -> bytes:
        header = self._header()
        if header is None:
            raise _cut_short()
        content = self._answers.read(header[1] + 1)
        if len(content) != header[1] + 1:
            raise _cut_short()
        return content[:-1]

    def _send(self, verb: str, names: Iterable[str]) -> None:
        try:
            self._requests.write("".join(f"{verb} {name}\n" for name in names).encode())
            self._requests.flush()
        except BrokenPipeError:
            raise _cut_short() from None

    def _header(self) -> tuple[str, int] | None:
        line = self._answers.readline().decode("ascii", "replace").split()
        if not line:
            raise _cut_short()
        if line[-1] == "missing":
            return None
        return line[0], int(line[2])


def _cut_short() -> FetchFailed:
    return FetchFailed("the mirror could not be read to the end; an object is missing or damaged")


def _find(objects: _Objects, commit: str) -> list[_Entry]:
    (found,) = objects.sizes([f"{commit}^{{tree}}"])
    if found is None:
        raise CommitGone(f"commit {commit} is not in the mirror; fetch it first")
    root = {entry.path: entry for entry in _tree(objects, found[0], "", ROOT_BYTES_MAX)}
    folder, single = root.get(FOLDER), root.get(SINGLE)
    for entry in (folder, single):
        if entry is not None:
            _refuse_links(entry)
    if folder is not None and folder.mode != _TREE:
        raise BundleRefused(f"{FOLDER} is a file; it must be a folder with a pipeline.py in it")
    files = _walk(objects, folder) if folder is not None else []
    if not files and single is not None and single.mode != _TREE:
        files = [single]
    if not files:
        raise NoPipeline(
            f"commit {commit} has no pipeline: add {FOLDER}/pipeline.py or {SINGLE}"
            " with an `async def run(event, step)`"
        )
    return files


def _walk(objects: _Objects, folder: _Entry) -> list[_Entry]:
    files: list[_Entry] = []
    folders = [folder]
    for seen, here in enumerate(folders, start=1):
        if seen > FOLDERS_MAX or here.path.count("/") > DEPTH_MAX:
            raise BundleRefused(
                f"{here.path}: at most {FOLDERS_MAX} folders, {DEPTH_MAX} deep, can be in {FOLDER}."
                " Keep only the pipeline's own files there."
            )
        for entry in _tree(objects, here.oid, f"{here.path}/", TREE_BYTES_MAX):
            _refuse_links(entry)
            if entry.mode == _TREE:
                # `folders` grows while it is walked: this is the walk's to-do list.
                folders.append(entry)
            elif Path(entry.path).suffix in TEXT_SUFFIXES:
                files.append(entry)
    if len(files) > FILES_MAX:
        raise BundleRefused(
            f"{FOLDER} holds {len(files)} files; at most {FILES_MAX} can be loaded. Move what the"
            " pipeline does not import elsewhere in the repository."
        )
    return files


def _tree(objects: _Objects, oid: str, prefix: str, bytes_max: int) -> list[_Entry]:
    (found,) = objects.sizes([oid])
    if found is None:
        raise _cut_short()
    if found[1] > bytes_max:
        raise BundleRefused(
            f"{prefix or 'the root folder'} has a listing of {found[1]} bytes; at most {bytes_max}"
            " are read. Put fewer files into this one folder."
        )
    (content,) = objects.contents([oid])
    return _entries(content, prefix, len(oid) // 2)


def _entries(content: bytes, prefix: str, oid_bytes: int) -> list[_Entry]:
    entries: list[_Entry] = []
    start = 0
    while start < len(content):
        end = content.index(b"\0", start)
        mode, _, name = content[start:end].partition(b" ")
        start = end + 1 + oid_bytes
        entries.append(_Entry(mode, _path(prefix, name), content[end + 1 : start].hex()))
    return entries


def _path(prefix: str, name: bytes) -> str:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        # In the root such a name is nobody's business, and it can equal none that is looked for.
        if not prefix:
            return repr(name)
        raise BundleRefused(f"{prefix}{name!r}: file names must be UTF-8. Rename it.") from None
    if prefix and (text in ("", ".", "..") or "/" in text or not text.isprintable()):
        raise BundleRefused(f"{prefix}{text!r}: this cannot be a file's name. Rename it.")
    return prefix + text


def _refuse_links(entry: _Entry) -> None:
    if entry.mode == _LINK:
        raise BundleRefused(
            f"{entry.path} is a symbolic link; pipeline files must be files. Put the file itself"
            " there."
        )
    if entry.mode == _SUBMODULE:
        raise BundleRefused(
            f"{entry.path} is a submodule; pipeline files must be in this repository. Copy them in."
        )


def _read_files(objects: _Objects, entries: list[_Entry]) -> dict[str, str]:
    sizes = objects.sizes([entry.oid for entry in entries])
    total = 0
    for entry, found in zip(entries, sizes, strict=True):
        if found is None:
            raise _cut_short()
        total += found[1]
        if found[1] > FILE_BYTES_MAX:
            raise BundleRefused(
                f"{entry.path} has {found[1]} bytes; a pipeline file may have {FILE_BYTES_MAX}."
                " Move data out of the pipeline and read it in a job."
            )
    if total > BUNDLE_BYTES_MAX:
        raise BundleRefused(
            f"the pipeline files have {total} bytes together; at most {BUNDLE_BYTES_MAX} are"
            f" loaded. Move what the pipeline does not import out of {FOLDER}."
        )
    contents = objects.contents([entry.oid for entry in entries])
    return {
        entry.path: _text(entry.path, content)
        for entry, content in zip(entries, contents, strict=True)
    }


def _text(path: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BundleRefused(
            f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8, or move it out of"
            f" {FOLDER}."
        ) from None
