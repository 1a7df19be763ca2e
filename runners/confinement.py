"""What every sandbox of a job has, whoever makes it: what is bound into it, and what it may do.

Here: the facts that executors plan with, and their refusals. Not here: anybody's arguments.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from pipelines.job import JobSpec
from runners import egress, job_directory, seccomp, steps, targets
from runners.ports import Egress, ImageRoot, Refused
from runners.sandbox_profile import HOME

FILES_MAX = 65_536
PROCESSES_MAX = 8_192
JOB_HOSTNAME = "staunch"
WRITABLE = ("/workspace", steps.HANDED)


class Slots:
    """The users of jobs: the slot's own, in a group that is of all. Only root can become them."""

    def __init__(self, uid_base: int) -> None:
        self._base = uid_base
        self.is_root = os.geteuid() == 0

    def uid(self, slot: int) -> int | None:
        """None where the sandbox has the agent's own user, and there is nothing to change to."""
        return self._base + slot if self.is_root else None

    @property
    def gid(self) -> int | None:
        """Of all slots, so that what one leaves on a volume another may change."""
        return self._base if self.is_root else None


class Sources:
    """What is bound into sandboxes: volumes by name, and what every job may read."""

    def __init__(
        self, slots: Slots, volumes: Mapping[str, Path], read_only: Collection[Path] = ()
    ) -> None:
        self._slots = slots
        self._volumes = volumes
        self._read_only = read_only

    def of(self, spec: JobSpec, directory: Path, slot: int) -> dict[str, str]:
        """Inside → outside. Raises Refused where this machine has not what the job asks for."""
        sources = {
            "/run/staunch": str(directory / job_directory.RUN),
            "/workspace": str(directory / job_directory.WORKSPACE),
            steps.HANDED: str(directory / job_directory.HANDED),
        }
        if steps.wants_checkout(spec):
            if not os.path.isdir(spec.source.mirror):
                raise Refused(
                    f"the mirror {spec.source.mirror} is not on this machine; run the agent where"
                    " the host keeps its mirrors, or share that directory"
                )
            sources["/source.git"] = spec.source.mirror
        for name in spec.request.volumes:
            sources[f"/volumes/{name}"] = self._volume(name, slot)
        return {**sources, **self.readable()}

    def readable(self) -> dict[str, str]:
        """What every sandbox may read, where it lies outside too."""
        return {str(path): str(path) for path in self._read_only}

    def _volume(self, name: str, slot: int) -> str:
        path = self._volumes.get(name)
        if path is None:
            known = ", ".join(sorted(self._volumes)) or "none"
            raise Refused(
                f"this runner has no volume {name!r} (it has: {known}); start it with"
                f" --volume {name}=/path"
            )
        if not path.is_dir():
            raise Refused(f"volume {name!r} is {path}, which is no directory on this machine")
        uid, gid = self._slots.uid(slot), self._slots.gid
        if uid is not None and gid is not None and not _writable_by(path, uid, gid):
            raise Refused(
                f"volume {name!r} ({path}) is not writable by group {gid}, in which jobs of this"
                f" runner run; give it to it: chgrp {gid} {path} && chmod g+rwx {path}"
            )
        return str(path)


def is_writable(inside: str) -> bool:
    """Whether a job may write to what is bound there."""
    return inside in WRITABLE or inside.startswith("/volumes/")


def filter_of(spec: JobSpec, rules: bytes | None, machine: str) -> bytes:
    """The filter of system calls of a job that is isolated as it may be. `rules`: those that there
    are for this kind of machine. Raises Refused."""
    wanted = spec.request.isolation
    if wanted not in ("", "sandbox"):
        raise Refused(f"there is no isolation {wanted!r} here; a job may ask for 'sandbox'")
    if rules is None:
        raise Refused(
            f"there is no filter of system calls for a machine of kind {machine!r}, only for"
            f" {', '.join(seccomp.MACHINES)}; run the job elsewhere"
        )
    return rules


def limits(uid: int | None) -> dict[str, int]:
    """Of a job's processes, by the names of `resource`."""
    found = {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": FILES_MAX}
    if uid is not None:
        # Counted per user: with a user for each slot that is the job, else everybody.
        found["RLIMIT_NPROC"] = PROCESSES_MAX
    return found


def variables(spec: JobSpec, root: ImageRoot | None, reachable: Egress | None) -> dict[str, str]:
    """Those that a sandbox of the job has before its own."""
    hosts = [one.name for one in spec.request.services]
    return {
        **({} if root is None else {**root.env, "HOME": HOME, "USER": "job"}),
        **({} if reachable is None else egress.variables(hosts)),
    }


def egress_of(spec: JobSpec, reachable: Egress) -> Egress | None:
    """What the job may reach of what the runner allows; None: nothing. Raises Refused."""
    if spec.request.network not in ("", "none", "egress"):
        raise Refused(f"there is no network {spec.request.network!r}; a job may ask for 'egress'")
    if spec.request.network != "egress":
        return None
    if not reachable.allowed and not reachable.private:
        raise Refused(
            "this runner lets jobs reach nothing; start it with --egress and the hosts that they"
            " may reach, e.g. --egress pypi.org,files.pythonhosted.org"
        )
    ours = targets.parse_all([*reachable.allowed, *reachable.private])
    try:
        wanted = targets.parse_all(spec.request.egress)
    except targets.BadTarget as bad:
        raise Refused(f"egress: {bad}") from bad
    for one in wanted:
        if not all(any(our.lets(one.host, port) for our in ours) for port in one.ports):
            raise Refused(
                f"the job wants to reach {one}, which this runner does not allow; it allows"
                f" {', '.join(map(str, ours))} (--egress)"
            )
    return Egress(
        allowed=reachable.allowed, private=reachable.private, narrowed=spec.request.egress
    )


def _writable_by(path: Path, uid: int, gid: int) -> bool:
    facts = path.stat()
    if facts.st_uid == uid:
        return facts.st_mode & 0o300 == 0o300
    if facts.st_gid == gid:
        return facts.st_mode & 0o030 == 0o030
    return facts.st_mode & 0o003 == 0o003
