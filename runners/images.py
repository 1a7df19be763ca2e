"""Images: the root file systems that jobs of this runner can have.

Here: which image a job means, unpacking it once however many jobs want it, and giving up those
that nobody used. What an image is made of is `layouts`, how it is unpacked `rootfs`.

    images/<digest>/rootfs       the tree, complete as soon as this name is there
    images/<digest>/facts.json   its variables and its size
    images/.<digest>.new         one that is being unpacked, or was when the agent died
"""

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from runners import layouts
from runners.data_directory import DataDirectory
from runners.fetching import Fetcher, ask_process
from runners.layouts import BadImage, Layout
from runners.ports import ImageRoot, Refused
from runners.registries import Registry

UNPACK_S = 1_800.0
UNUSED_S = 14 * 86_400.0
# One that was used just now may be for a job that is not laid out yet.
FRESH_S = 3_600.0
LATEST = "latest"

log = structlog.get_logger("runners.images")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """`facts.json`."""

    env: dict[str, str]
    entrypoint: list[str] = []
    command: list[str] = []
    cwd: str = "/"
    volumes: list[str] = []
    # Digests of indexes that lead to it.
    asked: list[str] = []
    bytes: int
    entries: int


class Images:
    """Those that an operator offers in a folder or lets come from registries, and what was unpacked
    of them."""

    def __init__(
        self,
        data: DataDirectory,
        offered: Path | None,
        *,
        uid_base: int,
        bytes_max: int,
        registries: Sequence[Registry] = (),
        credentials: Path | None = None,
    ) -> None:
        """`uid_base`: the group of all slots; the tree belongs to the user below it."""
        self._data = data
        self._folder = data.root / "images"
        self._folder.mkdir(mode=0o711, exist_ok=True)
        self._offered = offered
        self._bytes_max = bytes_max
        is_root = os.geteuid() == 0
        self._uid = uid_base - 1 if is_root else None
        self._gid = uid_base if is_root else None
        self._fetcher = Fetcher(self._folder, registries, credentials, self._uid, self._gid)
        self._unpacking: dict[str, asyncio.Task[None]] = {}
        self._fetching: dict[str, asyncio.Task[str]] = {}
        for left in self._folder.glob(".*"):
            shutil.rmtree(left)

    async def ready(self, reference: str) -> ImageRoot:
        """The root of an image, unpacked. Raises Refused."""
        name, tag, digest = split(reference)
        path = None if self._offered is None else layouts.path_in(self._offered, name)
        try:
            if path is not None:
                found = await asyncio.to_thread(_choose, path, tag, digest)
                await self._unpacked(path, found)
            else:
                found = await self._fetched(name, tag, digest)
        except BadImage as bad:
            raise Refused(f"image {reference!r} cannot be used: {bad}") from bad
        place = self._place(found)
        os.utime(place)
        facts = self._facts(place)
        image = f"{name}@{found}"
        return ImageRoot(
            image=image,
            path=str(place / "rootfs"),
            env=facts.env,
            entrypoint=facts.entrypoint,
            command=facts.command,
            cwd=facts.cwd,
            volumes=facts.volumes,
        )

    async def _fetched(self, name: str, tag: str, digest: str) -> str:
        """The digest of the manifest, unpacked. Raises Refused, BadImage."""
        place = self._fetcher.find(name)
        if place is None:
            raise Refused(self._refusal(name))
        if known := self._known(digest):
            return known
        key = f"{name}@{digest or tag or LATEST}"
        if key not in self._fetching:
            task = asyncio.create_task(self._fetch(*place, digest or tag or LATEST))
            task.add_done_callback(lambda _: self._fetching.pop(key))
            self._fetching[key] = task
        # A job that is given up must not take it from the others.
        return await asyncio.shield(self._fetching[key])

    async def _fetch(self, registry: Registry, repository: str, reference: str) -> str:
        """A tag is asked for each time; what it means may be there already."""
        have = [f"sha256:{path.name}" for path in self._kept()]
        async with self._fetcher.fetched(registry, repository, reference, have) as (source, found):
            await self._unpacked(source, found)
        self._remember(found, reference)
        return found

    def _remember(self, digest: str, reference: str) -> None:
        """That an index leads to it: whoever asks by that digest again needs no registry."""
        place = self._place(digest)
        facts = self._facts(place)
        if not layouts.DIGEST.match(reference) or reference in (digest, *facts.asked):
            return
        fresh = place / "facts.json.new"
        more = msgspec.structs.replace(facts, asked=[*facts.asked, reference])
        fresh.write_bytes(msgspec.json.encode(more))
        fresh.rename(place / "facts.json")

    def _known(self, digest: str) -> str:
        """The manifest that this digest means, where it is unpacked: itself, or one of an index."""
        if not digest:
            return ""
        if self._place(digest).exists():
            return digest
        named = (path.name for path in self._kept() if digest in self._facts(path).asked)
        return next((f"sha256:{name}" for name in named), "")

    def _refusal(self, name: str) -> str:
        offered = () if self._offered is None else self._offered.iterdir()
        known = ", ".join(sorted(one.name for one in offered)) or "none"
        if self._fetcher.names:
            return (
                f"this runner has no image {name!r} (it has: {known}), and it fetches images from"
                f" {', '.join(self._fetcher.names)} only (--registry)"
            )
        return (
            f"this runner has no image {name!r} (it has: {known}); put its OCI layout, or a tar of"
            f" it, into {self._offered}"
        )

    def _kept(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if not path.name.startswith(".")]

    def _facts(self, place: Path) -> Facts:
        return msgspec.json.decode((place / "facts.json").read_bytes(), type=Facts)

    def _place(self, digest: str) -> Path:
        return self._folder / digest.removeprefix("sha256:")

    async def _unpacked(self, source: Path, digest: str) -> None:
        if self._place(digest).exists():
            return
        if digest not in self._unpacking:
            task = asyncio.create_task(self._unpack(source, digest))
            task.add_done_callback(lambda _: self._unpacking.pop(digest))
            self._unpacking[digest] = task
        # A job that is given up must not take it from the others.
        await asyncio.shield(self._unpacking[digest])

    async def _unpack(self, source: Path, digest: str) -> None:
        began = time.monotonic()
        place = self._place(digest)
        staging = place.with_name(f".{place.name}.new")
        if staging.exists():
            await asyncio.to_thread(shutil.rmtree, staging)
        (staging / "rootfs").mkdir(mode=0o775, parents=True)
        (staging / "rootfs").chmod(0o775)
        if self._uid is not None and self._gid is not None:
            os.chown(staging / "rootfs", self._uid, self._gid)
        answer = await self._in_a_process(source, digest, staging / "rootfs")
        if "problem" in answer:
            await asyncio.to_thread(shutil.rmtree, staging)
            raise BadImage(answer["problem"])
        (staging / "facts.json").write_text(json.dumps(answer), encoding="utf-8")
        # After a power cut the name must not be there without all that belongs to it.
        await asyncio.to_thread(os.sync)
        staging.rename(place)
        log.info("image unpacked", digest=digest, seconds=round(time.monotonic() - began, 1))
        await asyncio.to_thread(self._give_up_unused, time.time())

    async def _in_a_process(self, source: Path, digest: str, root: Path) -> dict[str, Any]:
        told = {
            "source": str(source),
            "digest": digest,
            "root": str(root),
            "uid": self._uid,
            "gid": self._gid,
            "keeper": os.getpid(),
        }
        return await ask_process("runners.rootfs", told, UNPACK_S, root)

    def _give_up_unused(self, now: float) -> None:
        """Those that were not used for long, and as many as it takes to be below the limit."""
        in_use = self._in_use()
        kept = sorted((path.stat().st_mtime, path) for path in self._kept())
        total = sum(self._facts(path).bytes for _, path in kept)
        for used, path in kept:
            is_due = total > self._bytes_max or used < now - UNUSED_S
            if not is_due or used > now - FRESH_S or path.name in in_use:
                continue
            total -= self._facts(path).bytes
            gone = path.with_name(f".{path.name}.gone")
            path.rename(gone)
            shutil.rmtree(gone)
            log.info("image given up", digest=path.name)

    def _in_use(self) -> set[str]:
        """The digests that jobs of this runner were laid out with."""
        found = set()
        for directory in self._data.job_directories():
            with contextlib.suppress(FileNotFoundError, ValueError):
                launch = json.loads((directory / "launch.json").read_bytes())
                used = [launch, *launch.get("services", [])]
                found |= {str(one.get("image", "")).rpartition("sha256:")[2] for one in used}
        return found


def _choose(path: Path, tag: str, digest: str) -> str:
    layout = Layout(path)
    try:
        return layout.choose(tag, digest)
    finally:
        layout.close()


def split(reference: str) -> tuple[str, str, str]:
    """Name, tag and digest of `name[:tag][@sha256:…]`, each but the first perhaps empty."""
    rest, _, digest = reference.partition("@")
    name, _, tag = rest.rpartition(":") if ":" in rest.rpartition("/")[2] else (rest, "", "")
    if not name or (digest and not layouts.DIGEST.match(digest)):
        raise Refused(
            f"{reference!r} names no image; write name, name:tag, or name@sha256:… with 64 digits"
        )
    return name, tag, digest
