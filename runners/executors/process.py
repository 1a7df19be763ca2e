"""Running a job with no confinement at all: for code that is as trusted as the operator's own.

Here: the plan of a plain process. It exists for machines without user namespaces, is chosen by
name and never fallen back to, and refuses to run as the host's root.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from pipelines.job import CANCEL_GRACE_S_DEFAULT, JobSpec
from runners import job_directory, steps
from runners.allowance import Allowance, allowance_of, granted
from runners.ports import ImageRoot, Launch, Refused

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


class Process:
    """Plans an unconfined run. Volumes are given as STAUNCH_VOLUME_<NAME>, not under /volumes."""

    def __init__(
        self, *, uid_base: int, volumes: Mapping[str, Path], allowance: Allowance | None = None
    ) -> None:
        self._allowance = allowance or allowance_of()
        self._uid_base = uid_base
        self._volumes = volumes
        self._is_root = os.geteuid() == 0

    def plan(
        self,
        spec: JobSpec,
        directory: Path,
        slot: int,
        root: ImageRoot | None = None,
        services: Mapping[str, ImageRoot] | None = None,
    ) -> Launch:
        """The launch of `spec`, laid out in `directory`."""
        steps.check(spec)
        room = granted(spec.request, self._allowance)
        _check(spec, root)
        workspace = directory / job_directory.WORKSPACE
        base = directory / job_directory.RUN
        env = {
            "PATH": PATH,
            "HOME": str(workspace),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": str(base / "gitconfig"),
            **steps.environment_of(spec),
        }
        for name in spec.request.volumes:
            if name not in self._volumes:
                known = ", ".join(sorted(self._volumes)) or "none"
                raise Refused(f"this runner has no volume {name!r} (it has: {known})")
            env[f"STAUNCH_VOLUME_{name.upper()}"] = str(self._volumes[name])
        # As for the sandbox: a user for each slot where the agent is root.
        uid = self._uid_base + slot if self._is_root else None
        return Launch(
            argv=["/bin/sh", str(base / "driver"), str(base)],
            steps=steps.launch_steps(spec),
            timeout_s=spec.request.timeout_s,
            grace_s=CANCEL_GRACE_S_DEFAULT,
            env=env,
            cwd=str(workspace),
            uid=uid,
            gid=None if uid is None else self._uid_base,
            limits={"RLIMIT_CORE": 0},
            memory_bytes=room.memory_bytes,
            disk_bytes=room.disk_bytes,
            **steps.wait_of(spec),
        )


def _check(spec: JobSpec, root: ImageRoot | None) -> None:
    """Raises Refused where the job asks for what only a sandbox gives."""
    if spec.request.isolation:
        raise Refused(
            f"the job must run isolated ({spec.request.isolation}), and this runner does not"
            " confine jobs; run it on one with bubblewrap, or leave out isolation="
        )
    if spec.request.network == "egress":
        raise Refused(
            "this runner does not confine jobs, so it cannot keep one to what it may reach;"
            " run it on one with bubblewrap, or leave out network="
        )
    if spec.request.image or root is not None:
        raise Refused(
            "this runner does not confine jobs, so it gives none an image; run it on one with"
            " bubblewrap, or leave out image="
        )
    if spec.request.services:
        raise Refused(
            "this runner does not confine jobs, so none has a network for services; run it on"
            " one with bubblewrap, or leave out services="
        )
