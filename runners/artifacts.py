"""Artifacts: files that a job leaves are kept under names, and put into the workspace of another.

Here: which files, under what name, on whose shelf, and what it means when there are none. How files
are read and written: `packing`, `unpacking`. How often it is tried again: `attempt`.
"""

import hashlib
import os
from pathlib import Path

import msgspec

from pipelines import manifest
from pipelines.job import Artifact, JobSpec, Placed
from runners.packing import pack
from runners.ports import BlobStore, Missing
from runners.progress import Progress
from runners.unpacking import Owner, unpack


class NotKept(Exception):
    """An artifact that cannot be kept, or files that cannot be placed; the message says which."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What could be kept, and in a line each why something could not."""

    artifacts: list[Artifact] = []
    problems: list[str] = []


async def keep(spec: JobSpec, workspace: Path, store: BlobStore) -> Kept:
    """What the job's request names, from the workspace that it left. Repeatable.

    Raises Unavailable.
    """
    artifacts, problems = [], []
    for name, patterns in spec.request.artifacts.items():
        try:
            artifacts.append(await _keep(spec, name, patterns, workspace, store))
        except NotKept as reason:
            problems.append(str(reason))
    return Kept(artifacts=artifacts, problems=problems)


async def _keep(
    spec: JobSpec, name: str, patterns: list[str], workspace: Path, store: BlobStore
) -> Artifact:
    try:
        packed = await pack(workspace, patterns, store)
    except (manifest.BadManifest, ValueError) as error:
        raise NotKept(f"artifact {name!r} cannot be kept: {error}") from error
    files = sum(not isinstance(one, manifest.Folder) for one in packed.manifest.entries)
    if not files:
        asked = ", ".join(map(repr, patterns))
        raise NotKept(
            f"artifact {name!r}: no file matches {asked}; patterns begin at the workspace"
            " (`**/` finds a name in any folder)"
        )
    content = manifest.encode(packed.manifest)
    digest = hashlib.sha256(content).hexdigest()
    await store.put(digest, content, shelf_of_spec(spec))
    return Artifact(name=name, digest=digest, size=packed.manifest.size, files=files)


async def place(
    spec: JobSpec, workspace: Path, store: BlobStore, owner: Owner | None, progress: Progress
) -> None:
    """The request's files, where nothing of the job runs yet. Repeatable.

    Raises NotKept and Unavailable.
    """
    for placed in spec.request.files:
        try:
            content = await store.get(placed.digest, shelf_of_spec(spec))
            tree = _moved(manifest.decode(content), placed)
            progress.expect(tree.size)
            await unpack(tree, workspace, store, owner)
        except (manifest.BadManifest, Missing) as error:
            name = placed.name or placed.digest[:12]
            raise NotKept(f"the files of artifact {name!r} cannot be used: {error}") from error


def shelf_of_spec(spec: JobSpec) -> str:
    """Where the Manifests of this job's Repo lie."""
    return manifest.shelf_of(spec.repo_id or spec.repo)


def _moved(tree: manifest.Manifest, placed: Placed) -> manifest.Manifest:
    """The tree as it lies below `into`."""
    folder = os.path.normpath(placed.into)
    if folder == ".":
        return tree
    entries: list[manifest.Entry] = [
        msgspec.structs.replace(one, path=f"{folder}/{one.path}") for one in tree.entries
    ]
    return manifest.manifest_of(entries)
