"""Reports: files of results that a Job left in its workspace, found and read as hostile.

Here: which files a pattern names, and reading them in a process of their own. The job's processes
are gone, but the tree is its work: no link is followed, and names, depth, count and bytes have
limits. Every order is sorted, so that a further agent reports the same. What a file says is
`reading`, which runs in a process that has limits and can be killed.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from pipelines.job import Annotation, Coverage, ReportedTests
from runners import handed

FILES_MAX = 200
FILE_BYTES_MAX = 8_388_608
FILES_BYTES_MAX = 33_554_432
VISITED_MAX = 20_000
DEPTH_MAX = 40
PARSE_S_MAX = 30.0
LEFT_OUT_MAX = 10
# The kinds that say of tests how they ended.
TESTING = {"junit", "tap"}


class Found(msgspec.Struct, kw_only=True):
    """The content of each file by its kind and path, and what was left out, each with why."""

    files: dict[tuple[str, str], bytes] = {}
    left_out: list[str] = []


class Reported(msgspec.Struct, kw_only=True):
    """What the files say. `tests` and `coverage` None: there were no such files to read."""

    tests: ReportedTests | None = None
    coverage: Coverage | None = None
    annotations: list[Annotation] = []
    left_out: list[str] = []


class _TooMuch(Exception):
    pass


class _Search:
    def __init__(self, found: Found, owner: int) -> None:
        self._found = found
        self._owner = owner
        self.kind = ""
        self._visited = 0
        self._bytes = 0

    def walk(self, folder: int, parts: Sequence[str], path: str, depth: int = 0) -> None:
        """Everything under an open folder that the rest of a pattern names."""
        first, rest = parts[0], parts[1:]
        if first == "**" and rest:
            self.walk(folder, rest, path, depth)
        for name, is_folder in self._entries(folder):
            if first != "**" and not fnmatchcase(name, first):
                continue
            if not rest and not is_folder:
                self._read(folder, name, path + name)
            elif is_folder and depth < DEPTH_MAX:
                further = parts if first == "**" else rest
                if further:
                    self._enter(folder, name, further, path, depth)

    def _entries(self, folder: int) -> Iterator[tuple[str, bool]]:
        with os.scandir(folder) as listed:
            entries = []
            for one in listed:
                self._visited += 1
                if self._visited > VISITED_MAX:
                    raise _TooMuch(f"more than {VISITED_MAX:,} files had to be looked at")
                entries.append((one.name, one.is_dir(follow_symlinks=False)))
        yield from sorted(entries)

    def _enter(self, folder: int, name: str, parts: Sequence[str], path: str, depth: int) -> None:
        with contextlib.suppress(OSError):
            inside = os.open(name, handed.FOLDER_FLAGS, dir_fd=folder)
            try:
                self.walk(inside, parts, f"{path}{name}/", depth + 1)
            finally:
                os.close(inside)

    def _read(self, folder: int, name: str, path: str) -> None:
        if (self.kind, path) in self._found.files:
            return
        if len(self._found.files) == FILES_MAX:
            raise _TooMuch(f"more than {FILES_MAX} files are reports")
        try:
            content = handed.read_in(folder, name, FILE_BYTES_MAX, owner=self._owner)
        except handed.Unreadable as wrong:
            self._found.left_out.append(f"the report {path[:200]!r}: {wrong}")
            return
        self._bytes += len(content)
        if self._bytes > FILES_BYTES_MAX:
            raise _TooMuch(f"together they have more than {FILES_BYTES_MAX:,} bytes")
        self._found.files[self.kind, path] = content


def find(workspace: Path, asked: Mapping[str, Sequence[str]]) -> Found:
    """The files that the patterns name, by kind; what cannot be taken is left out, and named."""
    found = Found()
    try:
        top = os.open(workspace, handed.FOLDER_FLAGS)
    except OSError as error:
        # A job can take away the right to look at its own workspace.
        found.left_out.append(f"the reports: the workspace cannot be opened: {error.strerror}")
        return found
    try:
        search = _Search(found, os.fstat(top).st_uid)
        for search.kind, pattern in ((kind, one) for kind, named in asked.items() for one in named):
            before = len(found.files) + len(found.left_out)
            search.walk(top, pattern.removeprefix("./").split("/"), "")
            if len(found.files) + len(found.left_out) == before:
                found.left_out.append(f"the reports {pattern!r}: there is no such file")
    except OSError as error:
        found.left_out.append(f"some reports: a folder cannot be read: {error.strerror}")
    except _TooMuch as wrong:
        found.left_out.append(f"some reports: {wrong}")
    finally:
        os.close(top)
    return found


async def read(workspace: Path, asked: Mapping[str, Sequence[str]]) -> Reported:
    """What the job's reports say, and what was left out. Never raises for what a job wrote."""
    none = ReportedTests() if asked.keys() & TESTING else None
    found = await asyncio.to_thread(find, workspace, asked)
    if not found.files:
        return Reported(tests=none, left_out=_short(found.left_out))
    sent = b"".join(
        b"%s %d %d\n" % (kind.encode(), len(name), len(content)) + name + content
        for kind, name, content in (
            (kind, os.fsencode(path), text) for (kind, path), text in found.files.items()
        )
    )
    try:
        said = msgspec.json.decode(await _parsed(sent), type=Reported)
    except (TimeoutError, OSError, msgspec.MsgspecError):
        # The reports are worth less than the end of the job, which must be told.
        why = "the reports: reading them took too much"
        return Reported(tests=none, left_out=[why, *_short(found.left_out)])
    said.tests = said.tests or none
    said.left_out = _short(found.left_out + said.left_out)
    return said


async def _parsed(sent: bytes) -> bytes:
    """What the reading process answers. Raises TimeoutError or OSError."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-B", "-m", "runners.reading"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    try:
        async with asyncio.timeout(PARSE_S_MAX):
            return (await child.communicate(sent))[0]
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


def _short(left_out: list[str]) -> list[str]:
    """A job can leave any number of files that cannot be read."""
    if len(left_out) <= LEFT_OUT_MAX:
        return left_out
    rest = len(left_out) - LEFT_OUT_MAX + 1
    return [*left_out[: LEFT_OUT_MAX - 1], f"{rest:,} more reports"]
