"""Finding out what a machine can do: the facts that `diagnosis` judges, and the refusing executor.

Here: the looking, thin. The profile is tried with a job that does nothing: planned by the executor,
laid out, and kept by a shim like any other, because every shortcut answers for another machine.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pipelines.job import JobRequest, JobSpec, ShellStep, Source
from runners import handed, job_directory, launcher, spawn, workspace
from runners.diagnosis import GIB, Facts, Finding, Trial, judge
from runners.diagnosis import blockers as blockers_of
from runners.executors.bubblewrap import Bubblewrap, find_bwrap, with_overlays
from runners.executors.podman import Podman, find_podman
from runners.job_directory import STAGE
from runners.ports import Egress, Executor, ImageRoot, Launch, Mount, Refused

PROBE_S = 10.0
LOOK_S = 0.002
NOWHERE = "doctor.invalid:443"
# What the job says of itself goes where its steps hand things over.
QUESTION = 'cat /proc/self/status /proc/self/limits > "$STAUNCH_SUMMARY"'
PROCESSES = "Max processes"
CGROUPS = Path("/sys/fs/cgroup")


class Unconfined:
    """The executor of a machine that cannot confine: refuses every job with the cause."""

    def __init__(self, cause: str) -> None:
        self._cause = cause

    def plan(
        self,
        spec: JobSpec,
        directory: Path,
        slot: int,
        root: ImageRoot | None = None,
        services: Mapping[str, ImageRoot] | None = None,
    ) -> Launch:
        """Always raises Refused."""
        raise Refused(f"this runner cannot confine jobs, so it runs none: {self._cause}")


def findings(data: Path | None, *, uid_base: int, slots: int, disk_gb: float) -> list[Finding]:
    """Everything that a runner needs here. `data`: its directory, made if need be; None: any."""
    facts = _confining(find_bwrap(), uid_base)
    more: dict[str, Any] = {
        "slots": slots,
        "disk_job_bytes": int(disk_gb * GIB),
        "controllers": _controllers(),
        "taken": _taken(uid_base, slots),
        # Where a sandbox would find it: it sees the system's programs only.
        "programs": {
            n: shutil.which(n, path="/usr/local/bin:/usr/bin:/bin") for n in ("git", "sh")
        },
    }
    if data is not None:
        more["data"] = str(data)
        more["data_problem"] = _data_problem(data)
        if not more["data_problem"]:
            facts_of_disk = os.statvfs(data)
            more["disk_free_bytes"] = facts_of_disk.f_bavail * facts_of_disk.f_frsize
    podman = find_podman()
    if podman is not None:
        more["podman_problem"] = podman_problem(podman, uid_base)
    if facts.bwrap is not None and facts.trial is not None and not facts.trial.said:
        more["overlay_problem"] = _overlay_problem(facts.bwrap)
        more["egress_problem"] = _try(facts.bwrap, uid_base, network="egress").said
    return judge(msgspec.structs.replace(facts, **more))


def blockers(bwrap: str | None, uid_base: int) -> list[str]:
    """Cause and fix of each finding that makes confining impossible; empty where it works."""
    return blockers_of(_confining(bwrap, uid_base))


def _confining(bwrap: str | None, uid_base: int) -> Facts:
    """What confining alone depends on."""
    return Facts(
        uid=os.geteuid(),
        uid_base=uid_base,
        slots=1,
        bwrap=bwrap,
        trial=None if bwrap is None else _try(bwrap, uid_base),
        userns_clone=_number("kernel/unprivileged_userns_clone"),
        userns_max=_number("user/max_user_namespaces"),
        apparmor_restricts=_number("kernel/apparmor_restrict_unprivileged_userns"),
        mapped=_mapped(),
    )


def podman_problem(podman: str, uid_base: int) -> str:
    """Why podman cannot confine a job here; empty where it can."""
    return _tried(Podman(podman, uid_base=uid_base, volumes={})).said


def _try(bwrap: str, uid_base: int, network: str = "") -> Trial:
    """Confined by bubblewrap."""
    reachable = Egress(allowed=[NOWHERE])
    return _tried(Bubblewrap(bwrap, uid_base=uid_base, volumes={}, reachable=reachable), network)


def _tried(executor: Executor, network: str = "") -> Trial:
    """Run a job that says what it sees of itself."""
    request = JobRequest(
        steps=[ShellStep(run=QUESTION)], timeout_s=PROBE_S, checkout=False, network=network
    )
    spec = JobSpec(
        id="doctor",
        run="doctor",
        key="doctor",
        attempt=1,
        request=request,
        source=Source(mirror="", commit=""),
        repo="doctor",
    )
    with tempfile.TemporaryDirectory(prefix="staunch-doctor-") as folder:
        try:
            directory = Path(folder, "doctor")
            launch = executor.plan(spec, directory, 0)
            note = workspace.DeliveryNote(slot=0, token="")
            workspace.create(directory, spec=spec, launch=launch, note=note)
            code = launcher.run_first_half(directory, b"")
            return _answer(directory, code)
        except (Refused, OSError) as error:
            return Trial(said=str(error))


def _answer(directory: Path, code: int) -> Trial:
    """What became of the job. A shim whose directory is taken away ends it, and itself."""
    deadline = time.monotonic() + PROBE_S
    while job_directory.state_of(str(directory)) == job_directory.RUNNING:
        if time.monotonic() > deadline:
            return Trial(said=f"a job with nothing to do was not over after {PROBE_S:g} s")
        time.sleep(LOOK_S)
    record = job_directory.read_record(str(directory), job_directory.EXIT)
    if record is None:
        said = (directory / job_directory.SHIM_ERRORS).read_text(errors="replace").strip()
        last = said.splitlines()[-1] if said else "it said nothing"
        return Trial(said=f"its keeper ended with {code}: {last}")
    if record["outcome"] != "succeeded":
        return Trial(said=" ".join(str(record["message"]).split()))
    told = directory / job_directory.HANDED / handed.SUMMARY
    lines = told.read_text().splitlines()
    pairs = (line.partition(":") for line in lines if ":" in line)
    words = next((line.split() for line in lines if line.startswith(PROCESSES)), [])
    return Trial(
        status={name: value.strip() for name, _, value in pairs},
        processes=int(words[2]) if len(words) > 2 and words[2].isdecimal() else None,
        owner=told.stat().st_uid,
    )


def _number(name: str) -> int | None:
    """A sysctl; None where this kernel has none of that name."""
    try:
        return int(Path("/proc/sys", name).read_text())
    except (OSError, ValueError):
        return None


def _mapped() -> list[tuple[int, int]]:
    """Which users there are in this user namespace: the first of each range, and how many."""
    with contextlib.suppress(OSError, ValueError):
        rows = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
        return [(int(first), int(count)) for first, _, count in rows]
    return []


def _taken(uid_base: int, slots: int) -> dict[int, str]:
    found = {}
    for uid in range(uid_base, uid_base + slots):
        with contextlib.suppress(KeyError):
            found[uid] = pwd.getpwuid(uid).pw_name
    return found


def _controllers() -> list[str] | None:
    """Those of the cgroup that this process is in, where it may make others below; else None."""
    with contextlib.suppress(OSError):
        (line,) = (
            one
            for one in Path("/proc/self/cgroup").read_text().splitlines()
            if one.startswith("0::")
        )
        folder = CGROUPS / line.removeprefix("0::").lstrip("/")
        if os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK):
            return (folder / "cgroup.controllers").read_text().split()
    return None


def _data_problem(data: Path) -> str:
    try:
        data.mkdir(mode=0o711, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data):
            return ""
    except OSError as error:
        return str(error)


def _overlay_problem(bwrap: str) -> str:
    """Why an image could not be given a layer to write to; empty where it can."""
    with _empty_folder() as lower:
        if os.geteuid() == 0:
            mount = Mount(source=lower, target=f"{STAGE}/root", is_overlaid=True)
            return _in_a_child(mount)
        program = with_overlays(bwrap)
        if program is None:
            return "no bubblewrap here has overlays (0.11 and later have)"
        words = ["--unshare-user", "--ro-bind", "/", "/", "--overlay-src", lower]
        done = subprocess.run(  # noqa: S603  our own words, no shell
            [program, *words, "--tmp-overlay", "/mnt", "/bin/true"],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_S,
            check=False,
        )
        return done.stderr.decode(errors="replace").strip() if done.returncode else ""


@contextlib.contextmanager
def _empty_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="staunch-doctor-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103  it is empty
        yield folder


def _in_a_child(mount: Mount) -> str:
    """Stage the mount in a process that ends at once, with its mount namespace."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            spawn.stage([msgspec.to_builtins(mount)])
        except BaseException as error:  # noqa: BLE001  a forked child must never return
            os.write(writer, str(error).encode()[:4000])
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as told:
        said = told.read().decode(errors="replace")
    os.waitpid(pid, 0)
    return said
