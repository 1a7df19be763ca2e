"""Laying out a job directory before its shim starts, and removing it after its report.

Here: what is written where, and by whom it is owned. A directory gets its name only when it is
complete, so a crash on the way leaves nothing that looks like a job.
"""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pipelines.job import JobSpec
from runners import job_directory, service_files, steps
from runners.ports import Launch


class DeliveryNote(msgspec.Struct, frozen=True, kw_only=True):
    """What the next agent needs beside the spec: the slot, and how to settle the message."""

    slot: int
    token: str


def create(directory: Path, *, spec: JobSpec, launch: Launch, note: DeliveryNote) -> None:
    """Lay out `directory` for a job that nothing has run of yet."""
    staging = directory.with_name(f".{directory.name}.new")
    remove(staging)
    staging.mkdir(mode=0o711)
    seen = _as_seen_by_steps(launch, directory, spec)
    steps.write(spec, staging / job_directory.RUN, places=seen)
    service_files.write(spec, launch, staging)
    for name in (job_directory.WORKSPACE, job_directory.HANDED):
        folder = staging / name
        folder.mkdir(mode=0o755)
        if launch.uid is not None and launch.gid is not None:
            os.chown(folder, launch.uid, launch.gid)
    for name, record in (
        (job_directory.SPEC, spec),
        (job_directory.LAUNCH, launch),
        (job_directory.DELIVERY, note),
    ):
        _write(staging / name, msgspec.json.encode(record))
    job_directory.sync_directory(str(staging))
    staging.rename(directory)
    job_directory.sync_directory(str(directory.parent))


def read_spec(directory: Path) -> JobSpec:
    """The job that the directory is for."""
    return msgspec.json.decode((directory / job_directory.SPEC).read_bytes(), type=JobSpec)


def read_launch(directory: Path) -> Launch:
    """What its shim executes."""
    return msgspec.json.decode((directory / job_directory.LAUNCH).read_bytes(), type=Launch)


def read_note(directory: Path) -> DeliveryNote:
    """The agent's own notes."""
    content = (directory / job_directory.DELIVERY).read_bytes()
    return msgspec.json.decode(content, type=DeliveryNote)


def write_note(directory: Path, note: DeliveryNote) -> None:
    """Remember how to settle a newer delivery of the same job."""
    record: dict[str, Any] = msgspec.to_builtins(note)
    job_directory.write_record(str(directory), job_directory.DELIVERY, record)


def remove(directory: Path) -> None:
    """Delete the directory and all in it, also what a job made unreadable."""
    # Renamed first: half a directory must not look like a job to the next agent.
    doomed = directory.with_name(f".{directory.name.lstrip('.')}.gone")
    with contextlib.suppress(FileNotFoundError):
        directory.rename(doomed)
    if doomed.exists():
        shutil.rmtree(doomed, onerror=_open_and_retry)


def _open_and_retry(function: Callable[..., Any], path: str, _: object) -> None:
    with contextlib.suppress(OSError):
        os.chmod(os.path.dirname(path), 0o700)
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, 0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            function(path)


def _as_seen_by_steps(launch: Launch, directory: Path, spec: JobSpec) -> steps.Places:
    if launch.namespaced:
        return steps.Places(mirror="/source.git", workspace="/workspace", handed=steps.HANDED)
    return steps.Places(
        mirror=spec.source.mirror,
        workspace=str(directory / job_directory.WORKSPACE),
        handed=str(directory / job_directory.HANDED),
    )


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
