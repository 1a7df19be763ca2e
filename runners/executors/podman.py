"""Confining a job with podman: for machines whose kernel lets nobody make user namespaces.

Here: the arguments. Images are fetched and unpacked as for bubblewrap, so podman gets a root that
is ready, and has no images, networks or daemon of its own. It needs root to make the sandbox, and
gives it up for the job: that has its slot's user, no capability, and the same filter of system
calls.

Podman runs in namespaces of its own. In that of processes it is the first: when the shim dies, so
does all that podman started. That of mounts holds what podman remembers, in memory, and shows the
unified control groups alone, since its runtime refuses a machine that has both versions.
"""

import platform
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.job import CANCEL_GRACE_S_DEFAULT, JobSpec
from runners import confinement, sandbox_profile, seccomp_profile, steps
from runners.allowance import Allowance, allowance_of, granted
from runners.confinement import Slots, Sources
from runners.job_directory import ARGUMENTS, FILTER, INFO, OUTPUT, STAGE
from runners.ports import Egress, ImageRoot, Launch, Mount, Refused
from runners.sandbox_profile import ETC, ETC_OWN, HOME, MERGED, PATH

ROOT, KEPT = f"{STAGE}/root", f"{STAGE}/podman"
NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
PREPARED = (
    f"mkdir -p {ROOT} {KEPT} && mount -t tmpfs -o size=64m podman {KEPT}"
    " && mount -t tmpfs -o size=1m locks /dev/shm"
    ' && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
)
# Variables lie in memory: in a command line everybody could read them, and in podman's own
# environment a job could choose the libraries of a process that is root.
FIRST = (
    f"eval \"$(tr '\\0' '\\n' <&{ARGUMENTS})\";"
    ' [ -n "$_TOLD" ] || { echo "the image has no tr, so it has no variables"; exit 1; };'
    f" unset _TOLD; exec >&{OUTPUT} 2>&{OUTPUT} {INFO}>&- {ARGUMENTS}<&- {FILTER}<&- {OUTPUT}>&-;"
    " /bin/sh /run/staunch/driver /run/staunch; exit $?"
)
IN_MEMORY = ("/tmp", "/var/tmp", HOME)  # noqa: S108  the sandbox's own
# All from 3 on. What goes to podman's own output comes late, behind what a step answers with.
DESCRIPTORS = OUTPUT - 2


def find_podman() -> str | None:
    """The system's podman, or None."""
    return shutil.which("podman", path=PATH)


class Podman:
    """Plans the sandbox. `uid_base` plus the slot is the user of a slot's jobs."""

    def __init__(
        self,
        podman: str,
        *,
        uid_base: int,
        volumes: Mapping[str, Path],
        read_only: tuple[Path, ...] = (),
        reachable: Egress | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        self._podman = podman
        self._slots = Slots(uid_base)
        self._bound = Sources(self._slots, volumes, read_only)
        self._reachable = reachable or Egress(allowed=[])
        self._allowance = allowance or allowance_of()
        self._machine = platform.machine()

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
        self._check(spec, root)
        room = granted(spec.request, self._allowance)
        rules = confinement.filter_of(spec, seccomp_profile.profile(self._machine), self._machine)
        reachable = confinement.egress_of(spec, self._reachable)
        folders, files = _system() if root is None else ({}, {})
        inside = {**folders, **self._bound.of(spec, directory, slot)}
        bound = {one: f"{STAGE}/{index}" for index, one in enumerate(inside)}
        mounts = [_staged(one, source, bound[one]) for one, source in inside.items()]
        bound |= files
        if root is not None:
            mounts.append(Mount(source=root.path, target=ROOT, is_overlaid=True))
        env = {**confinement.variables(spec, root, reachable), **steps.environment_of(spec)}
        uid = self._slots.uid(slot)
        return Launch(
            argv=[
                *("/usr/bin/unshare", *NAMESPACES, "/bin/sh", "-c", PREPARED, "podman"),
                *(self._podman, *_kept(), *_run(uid, self._slots.gid, bound, root is not None)),
            ],
            arguments=[
                export(name, value) for name, value in {**_before(env), "_TOLD": "1"}.items()
            ],
            filter=rules.hex(),
            steps=steps.launch_steps(spec),
            timeout_s=spec.request.timeout_s,
            grace_s=CANCEL_GRACE_S_DEFAULT,
            env={"PATH": PATH, "HOME": "/root"},
            uid=uid,
            gid=self._slots.gid,
            mounts=mounts,
            namespaced=True,
            by_podman=True,
            limits=confinement.limits(uid),
            memory_bytes=room.memory_bytes,
            disk_bytes=room.disk_bytes,
            **steps.wait_of(spec),
            egress=reachable,
            image="" if root is None else root.image,
        )

    def _check(self, spec: JobSpec, root: ImageRoot | None) -> None:
        """Raises Refused where podman, as it is used here, cannot give what the job asks for."""
        if not self._slots.is_root:
            raise Refused(
                "this runner confines with podman, which needs root for it, and the agent is not;"
                " start it as root, or with --executor bubblewrap"
            )
        if spec.request.services:
            raise Refused(
                "this runner confines with podman, which gives a job no network to share with"
                " services; run it on one with bubblewrap, or leave out services="
            )
        if spec.request.image and root is None:
            raise Refused(
                f"this runner has no images, and the job wants {spec.request.image!r}; start it"
                " with --images and a folder of OCI layouts, or with --registry"
            )


def _staged(inside: str, source: str, target: str) -> Mount:
    """Podman's own `ro` would leave what is mounted below a folder as it was."""
    return Mount(source=source, target=target, is_read_only=not confinement.is_writable(inside))


def export(name: str, value: str) -> str:
    """The line of the shell that gives the job a variable, unless the shell keeps it for itself."""
    return f"command export {name}={shlex.quote(value)} || :"


def _before(env: Mapping[str, str]) -> dict[str, str]:
    """With those that every sandbox has, and without those that no shell can name."""
    own = {"PATH": PATH, "HOME": HOME, "LANG": "C.UTF-8", "TMPDIR": IN_MEMORY[0]}
    named = {name: value for name, value in env.items() if steps.VARIABLE.match(name)}
    return {**own, "USER": "job", **named}


def _kept() -> list[str]:
    """Where podman and its runtime keep what they remember: with the sandbox it is gone."""
    return [
        *("--root", f"{KEPT}/store", "--runroot", f"{KEPT}/run", "--tmpdir", f"{KEPT}/own"),
        *("--runtime-flag", f"root={KEPT}/runtime", "--cgroup-manager", "cgroupfs"),
        *("--events-backend", "none", "--log-level", "error"),
    ]


def _run(
    uid: int | None, gid: int | None, bound: Mapping[str, str], is_image: bool
) -> Iterator[str]:
    """The words of `podman run`. `bound`: what is bound into the sandbox, inside → outside."""
    most = sandbox_profile.TMP_BYTES_MAX
    yield from ("run", "--rm", "--rootfs", "--log-driver", "none", "--cgroups", "disabled")
    yield from ("--network", "none", "--no-hosts", "--hostname", confinement.JOB_HOSTNAME)
    yield from ("--user", f"{uid}:{gid}", "--passwd=false", "--cap-drop", "all")
    yield from ("--security-opt", "no-new-privileges")
    yield from ("--security-opt", f"seccomp=/proc/self/fd/{FILTER}")
    yield from ("--umask", "0002", "--ulimit", "host", "--preserve-fds", str(DESCRIPTORS))
    yield from ("--shm-size", str(most), "--tmpfs", "/sys:ro,size=4k,mode=0755")
    for folder in IN_MEMORY:
        yield from ("--tmpfs", f"{folder}:rw,exec,nosuid,nodev,size={most},mode=1777")
    if not is_image:
        yield from ("--read-only", "--read-only-tmpfs=false")
    for name in ETC_OWN:
        yield from ("--volume", f"{bound['/run/staunch']}/{name}:/etc/{name}:ro")
    for inside, outside in bound.items():
        way = "rw" if confinement.is_writable(inside) else "ro"
        yield from ("--volume", f"{outside}:{inside}:{way}")
    yield from ("--workdir", "/workspace", ROOT, "/bin/sh", "-c", FIRST)


def _system() -> tuple[dict[str, str], dict[str, str]]:
    """The host's programs, and a handful of /etc: folders and files, each inside → outside."""
    found = {"/usr": "/usr"}
    found |= {f"/{name}": str(Path("/", name).resolve()) for name in MERGED}
    found |= {f"/etc/{name}": f"/etc/{name}" for name in ETC}
    folders = {inside: outside for inside, outside in found.items() if Path(outside).is_dir()}
    files = {inside: outside for inside, outside in found.items() if Path(outside).is_file()}
    return folders, files
