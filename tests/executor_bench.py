"""The bench: a place where an executor and a real shim run jobs, one directory each."""

import os
import signal
from pathlib import Path

import pytest
from msgspec import structs

from runners import job_directory, launcher, workspace
from runners.executors.bubblewrap import find_bwrap
from runners.executors.podman import find_podman
from runners.probe import blockers, podman_problem
from tests.runner_world import make_mirror, until

UID_BASE = 64_000
CONFINED = not blockers(find_bwrap(), UID_BASE)
PODMAN = find_podman()
PODMAN_WORKS = PODMAN is not None and not podman_problem(PODMAN, UID_BASE)
needs_podman = pytest.mark.skipif(not PODMAN_WORKS, reason="no podman that runs a job")
needs_bwrap = pytest.mark.skipif(not CONFINED, reason="no bubblewrap or no user namespaces")


class Bench:
    """Runs specs through one executor and a real shim."""

    def __init__(self, root: Path, executor, images=None, image: str = "", zygote=None) -> None:
        """`images`: those of the runner; `image`: that of jobs which ask for none."""
        self.zygote = zygote
        self.images = images
        self.image = image
        self.root = root
        self.executor = executor
        self.source = make_mirror(root / "repo", {"a.txt": "from the repository\n"})
        (root / "jobs").mkdir()

    async def start(self, spec, slot=0, secrets=None, **changes) -> Path:
        directory = self.root / "jobs" / spec.id
        image = spec.request.image or self.image
        spec = structs.replace(spec, request=structs.replace(spec.request, image=image))
        root = await self.images.ready(image) if image else None
        beside = {
            one.name: await self.images.ready(one.image)
            for one in spec.request.services
            if one.image
        }
        launch = self.executor.plan(spec, directory, slot, root, beside)
        launch = structs.replace(launch, **changes)
        workspace.create(
            directory,
            spec=spec,
            launch=launch,
            note=workspace.DeliveryNote(slot=0, token=""),
        )
        await launcher.start_shim(directory, secrets, self.zygote)
        return directory

    async def end(self, directory: Path) -> dict:
        def gone():
            return job_directory.state_of(str(directory)) != job_directory.RUNNING

        await until(gone, "the end of the job")
        record = job_directory.read_record(str(directory), job_directory.EXIT)
        assert record is not None, (directory / "shim.err").read_text()
        return record

    async def run(self, spec, **more) -> tuple[dict, str]:
        directory = await self.start(spec, **more)
        record = await self.end(directory)
        return record, (directory / "log").read_bytes().decode("utf-8", "surrogateescape")


def cancel(directory: Path, reason: str = "enough") -> None:
    job_directory.write_record(str(directory), job_directory.CANCEL, {"reason": reason})
    shim = job_directory.read_record(str(directory), job_directory.SHIM)
    os.kill(shim["pid"], signal.SIGTERM)


def log_of(directory: Path) -> str:
    path = directory / "log"
    return path.read_text() if path.exists() else ""
