"""Services beside a job: in its network, ready before it begins, and gone with it."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pipelines.job import CANCEL_GRACE_S_DEFAULT
from pipelines.service import Service
from runners import job_directory, launcher, workspace
from runners.data_directory import DataDirectory
from runners.executors.bubblewrap import Bubblewrap, find_bwrap
from runners.executors.process import Process
from runners.images import Images
from runners.ports import Refused
from tests.executor_bench import CONFINED, UID_BASE, Bench, cancel, log_of
from tests.patience import SHORT_S
from tests.runner_world import make_spec, pids_with, until
from tests.service_images import DATABASE, POSTGRES, STORE, needs_servers, offer_servers

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.bwrap]

MIB = 1 << 20
OTHER = 65_534
WEB = Service(name="web", run="exec python3 -m http.server 8000", port=8000)
HANGS = f"sleep 4321.{os.getpid()}"
GET = "python3 -c \"import urllib.request as u; print(u.urlopen('{}').status)\""


def said_by(directory: Path, name: str) -> str:
    return (directory / job_directory.SERVICES / name / "log").read_text()


@pytest.fixture
def sandbox(root):
    """Bubblewrap's: podman gives no network to share."""
    if not CONFINED:
        pytest.skip("no bubblewrap or no user namespaces")
    return Bench(root, Bubblewrap(find_bwrap(), uid_base=UID_BASE, volumes={}))


async def run(sandbox, *steps, services, **more):
    """The record, the job's log, and the job directory."""
    changes = more.pop("changes", {})
    spec = make_spec(None, *steps, services=services, **more)
    directory = await sandbox.start(spec, **changes)
    record = await sandbox.end(directory)
    return record, log_of(directory), directory


ASK = (
    f"{POSTGRES}/psql -h db -U {{}} -c 'create table t as select 42 as answer'\n"
    f"{POSTGRES}/psql -h 127.0.0.1 -U {{}} -Atc 'select answer from t'\n"
    "redis-cli -h cache set a 17\nredis-cli -h cache get a\n"
)


@needs_servers
async def test_a_job_has_a_real_database_and_a_real_store_beside_it(sandbox):
    services = [DATABASE, STORE]
    record, log, directory = await run(sandbox, ASK.format(*["postgres"] * 2), services=services)
    assert record["outcome"] == "succeeded", log
    assert "\n42\n" in log
    assert "\n17\n" in log
    assert "=== service db: ready" in log
    assert "database system is ready to accept connections" in said_by(directory, "db")
    told = {one["name"]: one for one in record["services"]}
    assert {one["state"] for one in told.values()} == {"ready"}
    assert told["db"]["log_bytes"] == len(said_by(directory, "db").encode())


@needs_servers
async def test_they_may_come_from_images_and_run_what_those_say(sandbox, root):
    offered = root / "offered"
    offered.mkdir()
    offer_servers(offered)
    data = DataDirectory(root / "data")
    sandbox.images = Images(data, offered, uid_base=UID_BASE, bytes_max=2**30)
    services = [
        Service(
            name="db",
            image="postgres:15",
            env={"POSTGRES_USER": "somebody"},
            ready="pg_isready -h 127.0.0.1",
        ),
        # It has no shell, and needs none.
        Service(
            name="cache",
            image="redis",
            args=["/usr/bin/redis-server", "--maxmemory", "64mb"],
            port=6379,
        ),
    ]
    last = "redis-cli -h cache config get maxmemory"
    ask = ASK.format("somebody -d postgres", "somebody -d postgres") + last
    record, log, directory = await run(sandbox, ask, services=services)
    data.close()
    assert record["outcome"] == "succeeded", (log, said_by(directory, "db"))
    assert "\n42\n" in log
    assert "\n67108864\n" in log
    assert [one["image"].partition("@")[0] for one in record["services"]] == ["postgres", "redis"]
    # What it wrote is in its volume, on the disk, where it counts.
    assert (directory / "services/db/volumes/0/PG_VERSION").read_text() == "15\n"


async def test_the_network_is_of_the_job_and_its_services_alone(sandbox):
    script = (
        GET.format("http://web:8000") + "\n" + GET.format("http://127.0.0.1:8000") + "\n"
        "grep -c : /proc/net/dev\n"
        'for one in /proc/[0-9]*; do cat "$one/cmdline"; done | tr "\\0" " "'
        " | grep -c http[.]server || true\nunshare -n true || echo no further network"
    )
    record, log, _ = await run(sandbox, script, services=[WEB])
    assert record["outcome"] == "succeeded", log
    assert "\n200\n200\n1\n0\n" in log
    assert "no further network" in log


async def test_a_service_is_confined_as_the_job_is(sandbox):
    spy = Service(
        name="spy",
        run="set +e; id -u; hostname; cat /etc/shadow; ls /workspace; unshare -U true;"
        " grep -E 'CapEff|Seccomp:' /proc/self/status; echo done; exec sleep 60",
        ready="true",
    )
    record, _, directory = await run(sandbox, "sleep 0.3", services=[spy])
    said = said_by(directory, "spy")
    assert record["outcome"] == "succeeded"
    assert said.startswith("1000\nspy\n")
    assert "CapEff:\t0000000000000000\nSeccomp:\t2\n" in said
    assert said.count("No such file or directory") == 2
    assert "unshare failed" in said
    # Its variables are its own, and so is its output.
    assert "STAUNCH" not in said


async def test_the_job_begins_only_when_all_are_ready(sandbox):
    slow = Service(name="slow", run="sleep 0.5; touch /tmp/up; exec sleep 60", ready="ls /tmp/up")
    listens = Service(
        name="late",
        run="sleep 0.4; exec python3 -m http.server 8001 --bind 127.0.0.1",
        port=8001,
        ready="true",
    )
    record, log, directory = await run(
        sandbox, GET.format("http://late:8001"), services=[slow, listens]
    )
    assert record["outcome"] == "succeeded", log
    before, _, after = log.partition("=== python3 -c")
    assert "=== service slow: ready" in before
    assert "=== service late: ready" in before
    assert "\n200\n" in after
    # What the question was answered is in its log when it changes, and not each time.
    said = said_by(directory, "slow")
    assert said.count("cannot access") == 1
    assert said.endswith("/tmp/up\n")


@pytest.mark.parametrize("how", ["ready", "port"])
async def test_one_that_is_not_ready_in_time_fails_the_job_and_is_quoted(sandbox, how):
    asked = {"ready": {"ready": "false"}, "port": {"port": 7999}}[how]
    service = Service(name="db", run=f"echo cannot think; {HANGS}", ready_s=SHORT_S, **asked)
    record, log, _ = await run(sandbox, "echo never", services=[service])
    assert record["outcome"] == "failed"
    assert record["message"] == f"service 'db' was not ready within {SHORT_S:.0f} s"
    assert log.endswith(f"=== {record['message']}; it said last:\n=== db | cannot think\n")
    assert record["services"][0]["state"] == "failed"
    await until(lambda: not pids_with(HANGS.split()[1]), "its end")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo bad config; exit 3", "ended with exit code 3 before it was ready"),
        ("exec no-such-program", "ended with exit code 127 before it was ready"),
        ("kill -9 $$", "ended with exit code 137 before it was ready"),
    ],
)
@pytest.mark.parametrize("asked", [{}, {"port": 7999}, {"ready": "false"}])
async def test_one_that_does_not_come_up_fails_the_job(sandbox, command, said, asked):
    service = Service(name="db", run=command, **asked)
    record, _, _ = await run(sandbox, "echo never", services=[service, WEB])
    assert (record["outcome"], record["message"]) == ("failed", f"service 'db' {said}")
    assert record["services"][0]["state"] == "failed"


async def test_one_that_ends_while_the_job_runs_is_told_and_the_job_goes_on(sandbox):
    # It ends when it is told to, through its port.
    brief = Service(
        name="db",
        run="python3 -c 'import socket; socket.create_server((\"\", 7000)).accept()'; exit 4",
        ready="true",
    )
    ends = (
        "until python3 -c 'import socket; socket.create_connection((\"db\", 7000))' 2>/dev/null;"
        " do sleep 0.05; done"
    )
    record, log, _ = await run(sandbox, ends, "sleep 0.5; echo still here", services=[brief])
    assert record["outcome"] == "succeeded", log
    assert "=== service db ended with exit code 4\n" in log
    assert "still here\n" in log
    [told] = record["services"]
    assert (told["state"], told["message"]) == ("ended", "ended with exit code 4")


def beside(marker):
    """A service that hides behind a daemon, and does not want to end."""
    return Service(
        name="db",
        run=f"trap '' TERM INT HUP; setsid nohup sleep {marker} & sleep {marker}; sleep {marker}",
        ready="true",
    )


async def begun(sandbox, marker, **more):
    spec = make_spec(None, f"echo begun; sleep {marker}", services=[beside(marker)], **more)
    directory = await sandbox.start(spec)
    await until(lambda: "begun\n" in log_of(directory), "the first line")
    await until(lambda: len(pids_with(marker)) >= 3, "all of them")
    return directory


@pytest.mark.parametrize("how", ["cancelled", "timed_out", "lost"])
async def test_no_process_of_a_service_outlives_its_job(sandbox, how):
    marker = f"65432.{os.getpid()}"
    more = {"timeout_s": 2 * SHORT_S} if how == "timed_out" else {}
    directory = await begun(sandbox, marker, **more)
    if how == "cancelled":
        cancel(directory)
    if how == "lost":
        shim = job_directory.read_record(str(directory), job_directory.SHIM)
        os.kill(shim["pid"], signal.SIGKILL)
    else:
        record = await sandbox.end(directory)
        assert record["outcome"] == how
        assert record["services"][0]["state"] == "ready"
    await until(lambda: not pids_with(marker), "the end of all of them")


async def test_a_job_whose_directory_vanishes_takes_its_services_along(sandbox):
    marker = f"54321.{os.getpid()}"
    directory = await begun(sandbox, marker)
    directory.rename(directory.with_name("gone"))
    await until(lambda: not pids_with(marker), "the end of all of them")


async def test_a_job_that_waits_for_its_services_is_cancelled_at_once(sandbox):
    service = Service(name="db", run=HANGS, ready="false")
    directory = await sandbox.start(make_spec(None, "true", services=[service]))
    await until(lambda: pids_with(HANGS.split()[1]), "the service")
    began = time.monotonic()
    cancel(directory)
    record = await sandbox.end(directory)
    assert record["outcome"] == "cancelled"
    assert record["services"][0]["state"] == "starting"
    assert time.monotonic() - began < CANCEL_GRACE_S_DEFAULT
    await until(lambda: not pids_with(HANGS.split()[1]), "its end")


async def test_a_cancelled_job_may_still_use_its_services_to_clean_up(sandbox):
    get = GET.format("http://web:8000")
    script = f"cleanup() {{ {get}; exit 9; }}; trap cleanup TERM; echo begun; sleep 60 & wait"
    directory = await sandbox.start(make_spec(None, script, services=[WEB]))
    await until(lambda: "begun\n" in log_of(directory), "the first line")
    cancel(directory)
    assert (await sandbox.end(directory))["outcome"] == "cancelled"
    assert "\n200\n" in log_of(directory)


async def test_what_services_use_counts_as_the_jobs(sandbox):
    hog = "python3 -c \"import time; held = b'x' * (200 << 20); time.sleep(60)\""
    changes = {"memory_bytes": 100 * MIB}
    hungry = Service(name="db", run=f"exec {hog}", ready="true")
    record, _, _ = await run(sandbox, "sleep 60", services=[hungry], changes=changes)
    assert record["message"] == "the job used more than its limit of 100 MiB of memory"
    fills = Service(name="db", run="head -c 200000000 /dev/zero > /tmp/a; sleep 60", ready="true")
    record, _, _ = await run(sandbox, "sleep 60", services=[fills], key="b", changes=changes)
    assert record["message"] == "the job used more than its limit of 100 MiB of memory"


async def test_secrets_are_masked_in_the_logs_of_services_and_given_to_none(sandbox):
    tells = Service(
        name="db",
        run="cat > /dev/null & echo ${KEY-unset}; exec python3 -c '\nimport socket\n"
        'made = socket.create_server(("127.0.0.1", 7000))\ntaken, _ = made.accept()\n'
        'print(taken.recv(100).decode(), flush=True)\ntaken.send(b"k")\n\'',
        ready="true",
    )
    script = (
        'python3 -c \'\nimport os, socket\nmade = socket.create_connection(("db", 7000))\n'
        'made.send(os.environ["KEY"].encode())\nmade.recv(1)\n\'\nsleep 0.2'
    )
    spec = make_spec(None, "sleep 0.3", script, services=[tells], secrets={"KEY": "KEY"})
    directory = await sandbox.start(spec, secrets={"KEY": "hunter2-and-more"})
    record = await sandbox.end(directory)
    assert record["outcome"] == "succeeded", log_of(directory)
    assert said_by(directory, "db").split() == ["unset", "***"]


async def test_a_log_that_is_too_long_is_cut_and_says_so(sandbox):
    run_all = "seq 12000000; touch /tmp/done; exec sleep 60"
    loud = Service(name="db", run=run_all, ready="test -e /tmp/done", ready_s=250)
    record, _, directory = await run(sandbox, "true", services=[loud])
    assert record["outcome"] == "succeeded"
    said = (directory / "services/db/log").read_bytes()
    assert said.endswith(b"\n=== the log is full; what follows is dropped\n")
    assert len(said) == record["services"][0]["log_bytes"] < 65 * MIB


@pytest.mark.skipif(os.geteuid() != 0, reason="then all the others show it")
async def test_a_runner_that_is_not_root_has_services_too(root, monkeypatch):
    bwrap = shutil.which("bwrap")
    if bwrap is None or not Path("/usr/bin/python3").exists():
        pytest.skip("no bwrap and python3 that another user can execute")
    shutil.copytree(Path(launcher.__file__).parent, root / "code" / "runners")
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    spec, directory = make_spec(None, GET.format("http://web:8000"), services=[WEB]), root / "job"
    launch = Bubblewrap(bwrap, uid_base=UID_BASE, volumes={}).plan(spec, directory, 0)
    note = workspace.DeliveryNote(slot=0, token="")
    workspace.create(directory, spec=spec, launch=launch, note=note)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, OTHER, OTHER)
    start = "import sys; sys.path.insert(0, sys.argv.pop(1)); from runners.keeper import main;"
    words = ["/usr/bin/python3", "-I", "-S", "-c", f"{start} main(sys.argv[1])"]
    await asyncio.to_thread(
        subprocess.run,
        [*words, str(root / "code"), str(directory)],
        user=OTHER,
        group=OTHER,
        extra_groups=[],
        cwd="/",
        env={},
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )
    await until((directory / "exit.json").exists, "the end of the job")
    record = job_directory.read_record(str(directory), job_directory.EXIT)
    assert record["outcome"] == "succeeded", log_of(directory)
    assert "\n200\n" in log_of(directory)


def test_a_runner_that_does_not_confine_has_no_services(root):
    spec = make_spec(None, "true", services=[WEB])
    with pytest.raises(Refused, match="none has a network for services"):
        Process(uid_base=UID_BASE, volumes={}).plan(spec, root, 0)


def test_what_cannot_be_run_is_refused(sandbox, root):
    def plan(**more):
        spec = make_spec(None, "true", services=[Service(name="db", **more)])
        return sandbox.executor.plan(spec, root, 0)

    with pytest.raises(Refused, match="has no images, and the job wants 'postgres'"):
        plan(image="postgres")
    with pytest.raises(Refused, match="is no name for an environment variable"):
        plan(run="true", env={"A B": "c"})
    with pytest.raises(Refused, match="holds a NUL byte"):
        plan(run="a\0b")
