"""Sources: the commits of jobs on a machine that has not the host's mirrors.

Each repository has a bare one of its own here. Of a further commit the host sends what is missing,
as a git pack; git checks that all of it belongs together. Nothing is checked out here: the job does
that, in its sandbox.

    mirrors/<digest of the repository>.git
"""

import asyncio
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Protocol

import msgspec
import structlog

from pipelines.desk import HAVES_MAX, SourceTold
from pipelines.job import JobSpec, Source
from runners.ports import BlobStore, Missing, Refused
from runners.steps import COMMIT

GIT_S = 900.0
UNUSED_S = 30 * 86_400.0
REFS = "refs/staunch/commits"

log = structlog.get_logger("runners.sources")


class SourceDesk(Protocol):
    """Who has the commits."""

    async def source(self, job: str, haves: list[str]) -> SourceTold:
        """The commit of a job for somebody who has others. Raises Missing, Unavailable, Refused."""


class Sources:
    """The mirrors of one runner."""

    def __init__(self, root: Path, desk: SourceDesk) -> None:
        self._folder = root / "mirrors"
        self._folder.mkdir(mode=0o711, exist_ok=True)
        self._desk = desk
        self._changing: dict[Path, asyncio.Lock] = {}
        _forget_unused(self._folder, time.time())

    async def ready(self, spec: JobSpec, blobs: BlobStore) -> Source:
        """The job's source on this machine; may take minutes. Repeatable.

        Raises Refused and Unavailable.
        """
        source = spec.source
        if not source.mirror:
            return source
        if not COMMIT.match(source.commit):
            raise Refused(f"{source.commit[:80]!r} is no full commit id")
        word = hashlib.sha256((spec.repo_id or spec.repo).encode()).hexdigest()[:32]
        mirror = self._folder / f"{word}.git"
        async with self._changing.setdefault(mirror, asyncio.Lock()):
            if not await asyncio.to_thread(_has, mirror, source.commit):
                await self._fetch(spec, mirror, blobs)
        os.utime(mirror)
        return msgspec.structs.replace(source, mirror=str(mirror))

    async def _fetch(self, spec: JobSpec, mirror: Path, blobs: BlobStore) -> None:
        commit = spec.source.commit
        try:
            await asyncio.to_thread(_create, mirror, len(commit))
            haves = await asyncio.to_thread(_newest, mirror)
            told = await self._desk.source(spec.id, haves)
            pack = mirror / f"{commit}.pack.new"
            await self._write(pack, told.pieces, blobs)
            await asyncio.to_thread(_take, mirror, pack, commit, told.default_ref)
        except Missing as missing:
            raise Refused(f"commit {commit} of {spec.repo} cannot be had: {missing}") from missing
        except subprocess.SubprocessError as error:
            said = (getattr(error, "stderr", b"") or b"").decode(errors="replace").strip()
            raise Refused(
                f"commit {commit} of {spec.repo} came from the host, and git does not take it:"
                f" {said or error}"
            ) from error
        log.info("source fetched", repo=spec.repo, commit=commit, pieces=len(told.pieces))

    async def _write(self, path: Path, pieces: Iterable[str], blobs: BlobStore) -> None:
        with path.open("wb") as file:
            for piece in pieces:
                file.write(await blobs.get(piece))


def _create(mirror: Path, id_chars: int) -> None:
    if (mirror / "HEAD").exists():
        return
    form = "sha256" if id_chars == 64 else "sha1"
    mirror.mkdir(mode=0o755, exist_ok=True)
    _git(mirror, "init", "--quiet", "--bare", f"--object-format={form}", ".")


def _has(mirror: Path, commit: str) -> bool:
    """By the ref that is made last: without it something may be missing."""
    if not (mirror / "HEAD").exists():
        return False
    try:
        _git(mirror, "show-ref", "--verify", "--quiet", f"{REFS}/{commit}")
    except subprocess.CalledProcessError:
        return False
    return True


def _newest(mirror: Path) -> list[str]:
    listed = _git(
        mirror,
        "for-each-ref",
        f"--count={HAVES_MAX}",
        "--sort=-creatordate",
        "--format=%(objectname)",
        REFS,
    )
    return listed.decode().split()


def _take(mirror: Path, pack: Path, commit: str, default_ref: str) -> None:
    """The objects, then the ref that says that they are all there."""
    with pack.open("rb") as content:
        _git(mirror, "index-pack", "--stdin", "--fix-thin", "--strict", stdin=content)
    pack.unlink()
    # Fails where anything is missing that the commit needs.
    _git(mirror, "rev-list", "--objects", "--quiet", commit, "--not", f"--glob={REFS}/*")
    if default_ref:
        _git(mirror, "symbolic-ref", "HEAD", default_ref)
    _git(mirror, "update-ref", f"{REFS}/{commit}", commit)


def _forget_unused(folder: Path, now: float) -> None:
    for mirror in folder.iterdir():
        if mirror.stat().st_mtime < now - UNUSED_S:
            shutil.rmtree(mirror, ignore_errors=True)
        for left in mirror.glob("*.pack.new"):
            left.unlink(missing_ok=True)


def _git(mirror: Path, *words: str, stdin: IO[bytes] | int = subprocess.DEVNULL) -> bytes:
    return subprocess.run(  # noqa: S603  our own words, no shell
        ["git", "-c", "core.hooksPath=/dev/null", "-C", str(mirror), *words],  # noqa: S607
        stdin=stdin,
        capture_output=True,
        check=True,
        timeout=GIT_S,
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            # Stored as the umask of the agent would have it, jobs could not read them.
            "GIT_DIR": str(mirror),
        },
    ).stdout
