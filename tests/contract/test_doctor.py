"""The doctor on this machine: it runs a job as any other, and says what it saw."""

import json
import os
import subprocess
import sys

import pytest

from runners import probe
from runners.confinement import PROCESSES_MAX
from runners.diagnosis import State
from tests.executor_bench import UID_BASE, needs_bwrap
from tests.runner_world import ROOT


def doctor(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ci_host", "doctor", "runner", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@needs_bwrap
@pytest.mark.bwrap
def test_it_looks_at_all_that_jobs_need_and_explains_it(tmp_path):
    said = doctor("--data", str(tmp_path / "runner"), "--json")
    findings = {one["name"]: one for one in json.loads(said.stdout)["findings"]}
    assert set(findings) >= {
        *("bubblewrap", "user namespaces", "system calls", "slot user", "processes", "cgroups"),
        *("data directory", "disk", "images", "egress", "git", "sh"),
    }
    assert all(one["detail"] and one["why"] for one in findings.values())
    assert all(bool(one["fix"]) != (one["state"] == "ok") for one in findings.values())
    for name in ("bubblewrap", "user namespaces", "system calls"):
        assert findings[name]["state"] == "ok", findings[name]
    assert said.returncode == (0 if all(one["ok"] for one in findings.values()) else 1)
    shown = doctor("--data", str(tmp_path / "runner")).stdout
    assert "ok        user namespaces: a job with nothing to do was run" in shown


@needs_bwrap
@pytest.mark.bwrap
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give slots users of their own")
def test_it_sees_the_limits_and_the_user_of_a_real_job():
    found = {one.name: one for one in probe.findings(None, uid_base=UID_BASE, slots=3, disk_gb=1)}
    assert found["slot user"].detail == f"jobs run as users {UID_BASE} to {UID_BASE + 2}"
    assert f"{PROCESSES_MAX:,}" in found["processes"].detail


def test_a_data_directory_that_cannot_be_used_is_missing_and_so_is_the_exit_code(tmp_path):
    (tmp_path / "file").touch()
    said = doctor("--data", str(tmp_path / "file"), "--json")
    assert said.returncode == 1
    (found,) = [f for f in json.loads(said.stdout)["findings"] if f["name"] == "data directory"]
    assert found["state"] == State.MISSING
    assert "choose another --data" in found["fix"]
