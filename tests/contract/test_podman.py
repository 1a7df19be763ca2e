"""What is podman's own: what it refuses, and that nothing of it is left or believed."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from runners.executors.podman import Podman, find_podman
from runners.ports import ImageRoot, Refused
from runners.probe import podman_problem
from tests.executor_bench import UID_BASE, Bench, cancel, needs_podman
from tests.patience import SHORT_S
from tests.runner_world import make_spec, until
from tests.service_images import STORE

pytestmark = [pytest.mark.anyio, pytest.mark.slow, needs_podman]


@pytest.fixture
def bench(root):
    return Bench(root, Podman(find_podman(), uid_base=UID_BASE, volumes={}))


def mounts() -> list[str]:
    with open("/proc/mounts", encoding="ascii") as file:
        return file.read().splitlines()


def containers() -> str:
    words = [find_podman(), "ps", "--all", "--quiet"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def command_lines() -> list[bytes]:
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            found.append(file.read())
    return found


async def test_a_job_leaves_no_container_no_mount_and_no_process(bench):
    before = mounts()
    record, log = await bench.run(make_spec(None, "echo done; sleep 54321 & sleep 0.1"))
    assert record["outcome"] == "succeeded", log
    assert mounts() == before
    assert containers() == ""


async def test_a_job_that_is_killed_takes_no_lock_of_the_machines_podman_along(bench):
    def locks() -> bytes:
        path = Path("/dev/shm/libpod_lock")
        return path.read_bytes() if path.exists() else b""

    before = locks()
    spec = make_spec(None, "trap '' TERM; while :; do sleep 0.1; done", timeout_s=SHORT_S)
    record, _ = await bench.run(spec, grace_s=0.2)
    assert record["outcome"] == "timed_out"
    assert locks() == before


async def test_variables_of_a_job_choose_nothing_of_podmans_own(bench):
    # A library that does not exist is complained of by whoever would load it.
    hostile = {"LD_PRELOAD": "/workspace/evil.so", "CONTAINERS_CONF": "/workspace/evil.conf"}
    record, log = await bench.run(make_spec(None, 'echo "$CONTAINERS_CONF"', env=hostile))
    assert record["outcome"] == "succeeded", log
    assert "/workspace/evil.conf\n" in log
    complaints = [line for line in log.splitlines() if "evil.so" in line and "podman" in line]
    assert complaints == []


async def test_no_command_line_shows_a_variable_while_the_job_runs(bench):
    spec = make_spec(None, "echo begun; sleep 43211", context={"STAUNCH_X": "hidden-context"})
    directory = await bench.start(spec)
    await until(lambda: any(b"sleep\x0043211" in one for one in command_lines()), "the step")
    shown = command_lines()
    assert not [words for words in shown if b"hidden-context" in words]
    cancel(directory)
    assert (await bench.end(directory))["outcome"] == "cancelled"


async def test_a_job_with_services_is_refused_with_what_to_do(bench, root):
    with pytest.raises(Refused, match="no network to share with services; run it on one with"):
        bench.executor.plan(make_spec(None, "true", services=[STORE]), root, 0)


async def test_an_agent_that_is_not_root_refuses_jobs(bench, root, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    executor = Podman(find_podman(), uid_base=UID_BASE, volumes={})
    with pytest.raises(Refused, match="needs root for it, and the agent is not"):
        executor.plan(make_spec(None, "true"), root, 0)


async def test_a_podman_that_cannot_start_refuses_the_job_and_says_why(root):
    # Another program, which complains of podman's words.
    bench = Bench(root, Podman("/usr/bin/git", uid_base=UID_BASE, volumes={}))
    record, _ = await bench.run(make_spec(None, "echo not run"))
    assert record["outcome"] == "refused"
    assert "unknown option: --root" in record["message"]


async def test_what_is_mounted_below_a_folder_that_jobs_may_read_is_not_written_to(root):
    below = root / "tools" / "below"
    below.mkdir(parents=True)
    tools = str(root / "tools")
    executor = Podman(find_podman(), uid_base=UID_BASE, volumes={}, read_only=(Path(tools),))
    bench = Bench(root, executor)
    words = ["mount", "-t", "tmpfs", "-o", "mode=1777", "below", str(below)]
    subprocess.run(words, check=True)  # noqa: ASYNC221  before anything runs beside it
    try:
        step = f"! touch {below}/written && ! touch {tools}/written && grep -c {below} /proc/mounts"
        record, log = await bench.run(make_spec(None, step))
    finally:
        subprocess.run(["umount", str(below)], check=True)  # noqa: ASYNC221
    assert record["outcome"] == "succeeded", log


def test_podman_works_wherever_it_is_installed_for_root():
    """Else all that is tried with it would be skipped, and nobody would notice."""
    if os.geteuid() != 0:
        pytest.skip("not root")
    assert podman_problem(find_podman(), UID_BASE) == ""


def test_variables_that_no_shell_can_set_end_no_job(root):
    executor = Podman(find_podman(), uid_base=UID_BASE, volumes={})
    root_of_image = ImageRoot(
        image="any", path="/", env={"a.b": "1", "x;y": "2", "PPID": "3", "FINE": "4"}
    )
    launch = executor.plan(make_spec(None, "true", image="any"), root, 0, root_of_image)
    said = subprocess.run(
        ["/bin/bash", "--posix", "-c", "\n".join([*launch.arguments, 'echo "$FINE"'])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "4\n"
