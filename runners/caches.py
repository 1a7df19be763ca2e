"""Caches: files that a job finds again, because a job like it left them.

Here: which cache fits, from where, and what is told of it. Where a cache may come from is
`pipelines.cache`'s rule. Nothing here fails a job: a cache that cannot be had or kept costs time,
and is told.
"""

import asyncio
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pipelines import manifest
from pipelines.cache import Cache, Entry, Key, Scope, key_of, scope_written, scopes_read
from pipelines.job import JobSpec
from runners.packing import pack, patterns_of
from runners.ports import BlobStore, CacheIndex, Missing
from runners.progress import Progress
from runners.unpacking import Owner, unpack

GIT_S = 60.0
# One that is used is kept; saying so each time would be a message for each job.
USED_AGAIN_S = 86_400.0


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    entry: Entry
    scope: Scope
    is_exact: bool


class Caches:
    """The caches of one Attempt. What it does may be repeated after a crash."""

    def __init__(
        self,
        spec: JobSpec,
        workspace: Path,
        *,
        store: BlobStore,
        index: CacheIndex,
        now: float,
        progress: Progress,
    ) -> None:
        self._spec = spec
        self._workspace = workspace
        self._store = store
        self._index = index
        self._now = now
        self._progress = progress
        self._commit: _Commit | None = None

    async def restore(self, owner: Owner | None) -> list[str]:
        """Put into the empty workspace what fits; a line for each cache. Raises Unavailable."""
        lines = []
        spoiled: set[str] = set()
        wishes = list(self._spec.request.caches)
        while wishes:
            wish = wishes.pop(0)
            line, is_spoiled = await self._restore(wish, owner, is_spoiled=wish.name in spoiled)
            lines.append(line)
            if is_spoiled:
                # What came of it is in the workspace: begin anew, without this one.
                await asyncio.to_thread(_empty, self._workspace)
                spoiled.add(wish.name)
                lines, wishes = [], list(self._spec.request.caches)
        return lines

    async def do_without(self, why: str) -> list[str]:
        """Leave nothing of a restore that broke off; a line for each cache, with why."""
        await asyncio.to_thread(_empty, self._workspace)
        return [f"cache {one.name}: nothing restored, {why}" for one in self._spec.request.caches]

    async def _restore(
        self, wish: Cache, owner: Owner | None, *, is_spoiled: bool
    ) -> tuple[str, bool]:
        """A line, and whether it broke off halfway."""
        if is_spoiled:
            return f"cache {wish.name}: nothing restored, what was kept of it is damaged", False
        key, problem = await self._key(wish)
        if key is None:
            return f"cache {wish.name}: nothing restored, {problem}", False
        found = await self._find(wish, key)
        if found is None:
            return f"cache {wish.name}: nothing is kept yet", False
        try:
            content = await self._store.get(found.entry.digest, found.scope.shelf)
            self._progress.expect(found.entry.size)
            await unpack(manifest.decode(content), self._workspace, self._store, owner)
        except (manifest.BadManifest, Missing):
            return "", True
        exactly = "" if found.is_exact else ", of other files than this commit's"
        told = f"{found.entry.files:,} files, {found.entry.size:,} bytes"
        return f"cache {wish.name}: restored {told}, from {found.scope.ref}{exactly}", False

    async def save(self) -> list[str]:
        """Keep what is not kept yet, of a job that succeeded. Lines of what could not be.

        Raises Unavailable.
        """
        problems = []
        for wish in self._spec.request.caches:
            key, problem = await self._key(wish)
            if key is not None:
                problem = await self._save(wish, key)
            if problem:
                problems.append(f"cache {wish.name!r} is not kept: {problem}")
        return problems

    async def _save(self, wish: Cache, key: Key) -> str:
        scope = self._own
        found = await self._find(wish, key)
        if found is not None and found.is_exact:
            if found.scope == scope and self._now - found.entry.at > USED_AGAIN_S:
                used = msgspec.structs.replace(found.entry, at=self._now)
                await self._index.keep(self._spec.id, key.subject(scope), used)
            return ""
        try:
            packed = await pack(self._workspace, wish.paths, self._store)
        except (manifest.BadManifest, ValueError) as error:
            return str(error)
        files = sum(not isinstance(one, manifest.Folder) for one in packed.manifest.entries)
        if not files:
            return f"no file matches {', '.join(map(repr, wish.paths))}"
        content = manifest.encode(packed.manifest)
        digest = hashlib.sha256(content).hexdigest()
        await self._store.put(digest, content, scope.shelf)
        size = packed.manifest.size
        entry = Entry(digest=digest, size=size, files=files, at=self._now, job=self._spec.id)
        # Last: whoever finds it, finds all of it.
        await self._index.keep(self._spec.id, key.subject(scope), entry)
        return ""

    async def _find(self, wish: Cache, key: Key) -> _Found | None:
        """The very one, else one to begin with; of the nearest scope that has any."""
        scopes = await self._scopes()
        for scope in scopes:
            entry = await self._index.newest(self._spec.id, key.subject(scope))
            if entry is not None:
                return _Found(entry=entry, scope=scope, is_exact=True)
        for scope in () if wish.exact else scopes:
            entry = await self._index.newest(self._spec.id, key.subject_of_any(scope))
            if entry is not None:
                return _Found(entry=entry, scope=scope, is_exact=False)
        return None

    @property
    def _own(self) -> Scope:
        spec = self._spec
        return scope_written(spec.repo_id or spec.repo, spec.tier, spec.ref)

    async def _scopes(self) -> list[Scope]:
        spec, own = self._spec, self._own
        default = (await self._files()).default_ref
        return scopes_read(own.repo, spec.tier, spec.ref, spec.base_ref, default)

    async def _key(self, wish: Cache) -> tuple[Key | None, str]:
        """The key, or why there is none."""
        if not wish.on:
            return key_of(wish, []), ""
        commit = await self._files()
        if commit.problem:
            return None, commit.problem
        wanted = patterns_of(wish.on)
        files = [(path, content) for path, content in commit.files if wanted.match_file(path)]
        if not files:
            return None, f"no file of the commit matches {', '.join(map(repr, wish.on))}"
        return key_of(wish, files), ""

    async def _files(self) -> "_Commit":
        if self._commit is None:
            self._commit = await asyncio.to_thread(_read_commit, self._spec)
        return self._commit


class _Commit(msgspec.Struct, frozen=True, kw_only=True):
    """Path and blob id of each file; the ref of the default branch, or nothing."""

    files: list[tuple[str, str]] = []
    default_ref: str = ""
    problem: str = ""


def _read_commit(spec: JobSpec) -> _Commit:
    mirror, commit = spec.source.mirror, spec.source.commit
    try:
        default = _git(mirror, "symbolic-ref", "HEAD").decode().strip()
        listed = _git(mirror, "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        why = said.decode(errors="replace").strip() or type(error).__name__
        return _Commit(problem=f"the files of the commit cannot be listed: {why}")
    return _Commit(files=list(_listed(listed)), default_ref=default)


def _listed(answer: bytes) -> Iterator[tuple[str, str]]:
    for line in answer.split(b"\x00"):
        facts, _, path = line.partition(b"\t")
        if path:
            yield path.decode("utf-8", "surrogateescape"), facts.split()[2].decode()


def _git(mirror: str, *words: str) -> bytes:
    """Reading only; the mirror may be another user's, the host's."""
    settings = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false")
    return subprocess.run(  # noqa: S603  our own words, no shell
        ["git", *settings, "-C", mirror, *words],  # noqa: S607  the system's git
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=GIT_S,
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
        },
    ).stdout


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
