"""The doctor's judge: every kind of machine gets the finding, and the advice, that is its own."""

from typing import Any

import pytest
from msgspec import structs

from runners.diagnosis import GIB, Facts, Finding, State, Trial, blockers, judge

INSIDE = {"Seccomp": "2", "NoNewPrivs": "1", "CapBnd": "0000000000000000"}
TRIED = Trial(status=INSIDE, processes=8192, owner=64_000)
WELL = Facts(
    uid=0,
    uid_base=64_000,
    slots=2,
    bwrap="/usr/bin/bwrap",
    trial=TRIED,
    userns_max=100_000,
    mapped=[(0, 4_294_967_295)],
    controllers=["cpu", "memory", "pids"],
    data="/srv/runner",
    disk_free_bytes=100 * GIB,
    disk_job_bytes=20 * GIB,
    overlay_problem="",
    egress_problem="",
    programs={"git": "/usr/bin/git", "sh": "/usr/bin/sh"},
)
REFUSED = Trial(said="bwrap: setting up uid map: Permission denied")


def finding(name: str, **changes: Any) -> Finding:
    """That of a machine which is well but for these facts."""
    (found,) = [one for one in judge(structs.replace(WELL, **changes)) if one.name == name]
    return found


def test_a_machine_that_has_everything_is_well() -> None:
    assert {one.state for one in judge(WELL)} == {State.OK}
    assert blockers(WELL) == []


@pytest.mark.parametrize(
    ("name", "changes", "state", "said", "fix"),
    [
        ("bubblewrap", {"bwrap": None}, "missing", "was not found", "apt install bubblewrap"),
        ("slot user", {"uid": 1000}, "degraded", "as user 1000, the agent's own", "as root"),
        ("slot user", {"taken": {64_001: "ann"}}, "degraded", "64001 (ann)", "--uid-base"),
        ("slot user", {"mapped": [(0, 64_001)]}, "missing", "not every slot", "0 to 64000"),
        ("slot user", {"trial": structs.replace(TRIED, owner=0)}, "missing", "user 0", "report"),
        ("processes", {"uid": 1000}, "degraded", "no limit for each slot", "TasksMax="),
        ("cgroups", {"controllers": None}, "degraded", "watchdog", "Delegate=memory pids"),
        ("cgroups", {"controllers": ["pids"]}, "degraded", "not in it: memory;", "--memory-gb"),
        ("data directory", {"data_problem": "read-only"}, "missing", "read-only", "--data"),
        ("disk", {"disk_free_bytes": 30 * GIB}, "degraded", "30.0 GiB free", "--disk-gb"),
        ("disk", {"disk_free_bytes": GIB - 1}, "missing", "40.0 GiB", "--slots"),
        ("images", {"overlay_problem": "no overlayfs"}, "degraded", "no overlayfs", "0.11"),
        ("egress", {"egress_problem": "setns: no"}, "degraded", "setns: no", "Linux 5.6"),
        ("git", {"programs": {"git": None}}, "missing", "not in /usr/bin", "install git"),
    ],
)
def test_what_a_machine_lacks_is_named_with_what_to_do(
    name: str,
    changes: dict[str, Any],
    state: str,
    said: str,
    fix: str,
) -> None:
    found = finding(name, **changes)
    assert found.state == state
    assert said in found.detail
    assert fix in found.fix
    assert found.why


@pytest.mark.parametrize(
    ("changes", "fix"),
    [
        ({"userns_max": 0}, "user.max_user_namespaces=10000"),
        ({"userns_clone": 0}, "users of slots: sysctl kernel.unprivileged_userns_clone=1"),
        ({"userns_clone": 0, "uid": 1000}, "unprivileged user namespaces: sysctl kernel."),
        ({"apparmor_restricts": 1}, "/etc/apparmor.d/bwrap"),
        ({"mapped": [(0, 1000)]}, "64000 to 64001 are not mapped into this user namespace"),
        ({"trial": Trial(said="unshare: Operation not permitted")}, "--cap-add SYS_ADMIN"),
        ({"trial": Trial(said="there is no filter of system calls for it")}, "x86_64 or aarch64"),
        ({}, "in a container, a seccomp profile that allows unshare and mount"),
    ],
)
def test_a_sandbox_that_cannot_be_made_gets_the_narrowest_advice(
    changes: dict[str, Any], fix: str
) -> None:
    facts = structs.replace(WELL, **{"trial": REFUSED, **changes})
    found = finding("user namespaces", **{"trial": REFUSED, **changes})
    assert (found.state, found.blocks) == (State.MISSING, True)
    assert found.detail.startswith("no sandbox can be made: ")
    assert fix in found.fix
    assert blockers(facts) == [f"{found.detail}; {found.fix}"]
    # What only a job can tell is not guessed.
    assert not {"system calls", "slot user", "processes"} & {one.name for one in judge(facts)}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"Seccomp": "0"}, "the filter of system calls is not in force"),
        ({"NoNewPrivs": "0"}, "programs may gain rights"),
        ({"CapBnd": "000001ffffffffff"}, "capabilities are left"),
    ],
)
def test_a_sandbox_that_is_weaker_than_it_should_be_runs_nothing(
    status: dict[str, str], said: str
) -> None:
    trial = structs.replace(TRIED, status=INSIDE | status)
    assert said in finding("system calls", trial=trial).detail
    (cause,) = blockers(structs.replace(WELL, trial=trial))
    assert said in cause


def test_what_is_only_degraded_or_beside_the_sandbox_stops_no_job() -> None:
    worn = structs.replace(
        WELL, uid=1000, controllers=None, disk_free_bytes=0, overlay_problem="none", programs={}
    )
    assert blockers(worn) == []
