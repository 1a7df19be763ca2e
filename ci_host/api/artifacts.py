"""Routes of artifacts: what the jobs of a Run kept, its list of files, and all of it as one tar."""

import asyncio
import tarfile
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from ci_host.adapters.sql import queries
from ci_host.api.auth import Here, Person
from ci_host.api.description import answers
from ci_host.api.problems import Problem
from ci_host.api.runs import resolve
from ci_host.api.services import Services
from ci_host.api.sight import no_such_job
from ci_host.blob_ports import BlobReader
from ci_host.ports import Missing
from pipelines import manifest
from pipelines.job import Artifact

router = APIRouter(prefix="/api/v1", tags=["artifacts"])


@router.get("/runs/{run}/artifacts", summary="What the jobs of a run kept")
async def artifacts_of_run(here: Here, _who: Person, run: str) -> dict[str, Any]:
    """`digest`: the SHA-256 of the list of files. `job` and `name` are what the others ask for."""
    found = await resolve(here, run)
    detail = await asyncio.to_thread(queries.run_detail, here.model, found)
    attempts = [] if detail is None else detail.attempts
    return {
        "artifacts": [
            {"job": row.job, "key": row.key, "attempt": row.attempt, **msgspec.to_builtins(one)}
            for row in attempts
            for one in msgspec.json.decode(row.artifacts_json, type=list[Artifact])
        ]
    }


@router.get("/jobs/{job}/artifacts/{name}", summary="The files of an artifact, as a list")
async def list_artifact(here: Here, _who: Person, job: str, name: str) -> dict[str, Any]:
    """`entries` in the order of their paths: files with their `size`, links, folders."""
    tree = await _tree(here, job, name)
    entries = [_shown(entry) for entry in tree.entries]
    return {"job": job, "name": name, "size": tree.size, "entries": entries}


@router.get(
    "/jobs/{job}/artifacts/{name}/tar",
    summary="The files of an artifact, as a tar",
    response_class=Response,
    responses=answers("application/x-tar"),
)
async def download_artifact(here: Here, _who: Person, job: str, name: str) -> StreamingResponse:
    """Not compressed; it begins at once, whatever its size. A piece that is missing cuts it off."""
    tree = await _tree(here, job, name)
    return StreamingResponse(
        tar_of(tree, here.blobs),
        media_type="application/x-tar",
        headers={"Content-Disposition": f'attachment; filename="{name}.tar"'},
    )


async def _tree(here: Services, job: str, name: str) -> manifest.Manifest:
    row = await asyncio.to_thread(queries.attempt, here.model, job)
    if row is None:
        raise no_such_job(job)
    kept = msgspec.json.decode(row.artifacts_json, type=list[Artifact])
    found = next((one for one in kept if one.name == name), None)
    if found is None:
        there = ", ".join(one.name for one in kept) or "it kept none"
        raise Problem(404, "No such artifact", f"Job {job} has no artifact {name!r}: {there}.")
    run = await asyncio.to_thread(queries.run_detail, here.model, row.run)
    assert run is not None, "an Attempt belongs to a Run"
    try:
        return manifest.decode(await here.blobs.get(found.digest, manifest.shelf_of(run.run.repo)))
    except (Missing, manifest.BadManifest) as error:
        why = f"The files of artifact {name!r} are not kept any more, or somewhere else: {error}."
        raise Problem(410, "Not kept any more", why) from error


def _shown(entry: manifest.Entry) -> dict[str, Any]:
    """An entry without the names of its pieces."""
    found: dict[str, Any] = msgspec.to_builtins(entry)
    return {key: value for key, value in found.items() if key not in ("chunks", "offset")}


async def tar_of(tree: manifest.Manifest, blobs: BlobReader) -> AsyncIterator[bytes]:
    """The tree as a tar (pax), a piece at a time. Raises Missing, Damaged, Unavailable midway."""
    last, piece = "", b""
    for entry in tree.entries:
        yield _header(entry)
        if not isinstance(entry, manifest.File):
            continue
        sizes = manifest.chunk_sizes(entry.size)
        for digest, size in zip(entry.chunks, sizes, strict=True):
            if digest != last:
                last, piece = digest, await blobs.get(digest, manifest.PIECES)
            yield piece[entry.offset : entry.offset + size]
        yield bytes(-entry.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _header(entry: manifest.Entry) -> bytes:
    info = tarfile.TarInfo(entry.path)
    info.mode = 0o644
    match entry:
        case manifest.Folder():
            info.type, info.mode = tarfile.DIRTYPE, 0o755
        case manifest.Link():
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
        case manifest.File():
            info.size = entry.size
            info.mode = 0o755 if entry.executable else 0o644
    return info.tobuf(tarfile.PAX_FORMAT)
