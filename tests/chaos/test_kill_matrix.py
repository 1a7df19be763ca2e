"""Who is killed, in which phase of a job: each cell of docs/kill-matrix.md, at a crash point."""

import importlib
import os
import re
from pathlib import Path

import pytest

from pipelines.job import Outcome
from runners import job_directory
from tests.chaos.crash_points import CALLS, CrashPoints, go_on
from tests.runner_world import kill, make_spec, pids_with, until, world

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.nats, pytest.mark.bwrap]

ROOT = Path(__file__).resolve().parents[2]
PHASES = ["queued", "claimed", "placing files", "starting", "running"]
PHASES += ["keeping files", "reporting", "keeping the log", "settling"]
LINES = 200
# What ends with every job: a daemon of its own, that would be seen.
DAEMON = f"7{os.getpid()}"
STEPS = f"""\
echo ran >> /volumes/shared/count
setsid nohup sleep {DAEMON} >/dev/null 2>&1 &
for i in $(seq {LINES}); do echo line $i; done
mkdir dist; echo kept > dist/file
while [ ! -e /volumes/shared/go ]; do sleep 0.02; done
for i in $(seq {LINES + 1} {2 * LINES}); do echo line $i; done
"""


class Stage:
    """A bus, agents with crash points, and one job whose fate is looked at."""

    def __init__(self, bus) -> None:
        self.bus = bus
        self.points = CrashPoints(bus.root / "points")
        volume = bus.root / "volume"
        volume.mkdir()
        volume.chmod(0o777)
        self.go = volume / "go"
        self._count = volume / "count"
        self._more = ["--volume", f"shared={volume}", "--blobs", f"file://{bus.root}/kept"]
        self.spec = make_spec(None, STEPS, volumes=["shared"], artifacts={"dist": ["dist"]})
        self.agent = self.started()

    def started(self):
        self.agent = self.bus.agent(slots=1, more=self._more, env=self.points.environment)
        return self.agent

    async def reach(self, phase: str) -> int | None:
        """The job in this phase; the agent's process, if it stands still there."""
        if phase == "queued":
            # The only slot is taken: this one is in the queue, and nobody has it.
            ahead = make_spec(None, "sleep 0.3", key="ahead")
            await self.bus.submit(ahead)
            await until(self.bus.job_directory(ahead).exists, "the job ahead")
            await self.bus.submit(self.spec)
            return None
        if phase == "running":
            await self.bus.submit(self.spec)
            await until(self._half_told, "half of the log")
            return None
        self.points.stop_at(phase)
        self.go.touch()
        await self.bus.submit(self.spec)
        pid = await until(self.points.stopped, "an agent that stands still")
        # Before the shim is started, and after it has ended, there is none that could be killed.
        assert pids_with(str(self.bus.job_directory(self.spec))) == []
        return pid

    async def _half_told(self) -> bool:
        chunks = await self.bus.chunks(self.spec)
        return sum(chunk.text.count("line ") for chunk in chunks) >= LINES

    def step(self) -> int:
        """The process of the running step, as the machine numbers it."""
        (daemon,) = [pid for pid in pids_with(f"sleep\0{DAEMON}")]
        shells = [pid for pid in pids_with("/run/staunch/0/script") if _box(pid) == _box(daemon)]
        bashes = [pid for pid in shells if b"/bin/bash" in _words(pid)]
        # One that it has just forked has the same words, until it becomes another program.
        (found,) = [pid for pid in bashes if _parent(pid) not in bashes]
        return found

    def shim(self) -> int:
        directory = str(self.bus.job_directory(self.spec))
        return job_directory.read_record(directory, job_directory.SHIM)["pid"]

    async def judge(self, outcome: Outcome = Outcome.SUCCEEDED, lines: int = 2 * LINES):
        """One run, one report, every line once and in order, and nothing left behind."""
        report = await self.bus.report(self.spec)
        assert report.outcome is outcome, report
        await self.bus.settled()
        log = await self.bus.log(self.spec)
        said = [line for line in log.splitlines() if line.startswith("line ")]
        assert said == [f"line {i}" for i in range(1, lines + 1)]
        assert len(self._count.read_text().splitlines()) == 1
        told = {(one.outcome, one.exit_code) for one in await self.bus.reports(self.spec)}
        assert len(told) == 1
        directory = self.bus.job_directory(self.spec)
        await until(lambda: not directory.exists(), "the removal of the job directory")
        await until(lambda: not pids_with(f"sleep\0{DAEMON}"), "the end of its daemon")
        assert pids_with(str(directory)) == []
        return report


def _box(pid: int) -> str:
    """Its namespace of processes: tests beside this one have jobs of the same user."""
    return os.readlink(f"/proc/{pid}/ns/pid")


def _parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^PPid:\t(\d+)$", status, re.M)[1])


def _words(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.fixture
async def stage():
    async with world() as bus:
        yield Stage(bus)


@pytest.mark.parametrize("phase", PHASES)
async def test_an_agent_that_is_killed_loses_no_job(stage, phase):
    await stage.reach(phase)
    stage.agent.kill()
    stage.agent.wait()
    stage.started()
    stage.go.touch()
    report = await stage.judge()
    assert [one.name for one in report.artifacts] == ["dist"]


@pytest.mark.parametrize("phase", PHASES)
async def test_a_server_that_is_killed_loses_no_job(stage, phase):
    pid = await stage.reach(phase)
    client = stage.bus.client
    stage.bus.server.kill()
    await until(lambda: not client.is_connected, "our own connection to be lost")
    stage.bus.server.start()
    await until(lambda: client.is_connected, "our own connection")
    if pid is not None:
        go_on(pid)
    stage.go.touch()
    report = await stage.judge()
    assert [one.name for one in report.artifacts] == ["dist"]


async def test_a_shim_that_is_killed_takes_its_job_along(stage):
    await stage.reach("running")
    kill(stage.shim())
    report = await stage.judge(Outcome.LOST, LINES)
    assert "its keeper was killed" in report.message


async def test_a_step_that_is_killed_has_failed_and_its_files_are_kept(stage):
    await stage.reach("running")
    kill(stage.step())
    report = await stage.judge(Outcome.FAILED, LINES)
    assert report.exit_code == 137
    assert [one.name for one in report.artifacts] == ["dist"]


def zygotes_of(agent) -> list[int]:
    """The agent's own, of all on this machine."""
    mark = f"PPid:\t{agent.pid}\n"
    found = pids_with("from runners.zygote import main")
    return [pid for pid in found if mark in Path(f"/proc/{pid}/status").read_text()]


async def test_a_zygote_that_is_killed_is_missed_by_no_job(stage):
    pid = await stage.reach("starting")
    (zygote,) = zygotes_of(stage.agent)
    kill(zygote)
    go_on(pid)
    await stage.judge()
    # Another one is there now, or will be with the next job.
    assert zygotes_of(stage.agent) != [zygote]


async def test_a_zygote_ends_with_its_agent_and_the_shim_that_it_forked_does_not(stage):
    await stage.reach("running")
    (zygote,) = zygotes_of(stage.agent)
    stage.agent.kill()
    stage.agent.wait()
    await until(lambda: not Path(f"/proc/{zygote}/exe").exists(), "the end of the zygote")
    assert job_directory.state_of(str(stage.bus.job_directory(stage.spec))) == job_directory.RUNNING
    stage.started()
    stage.go.touch()
    await stage.judge()


@pytest.mark.parametrize("phase", CALLS)
def test_a_phase_begins_with_a_call_that_exists(phase) -> None:
    module, name, method = CALLS[phase]
    assert callable(getattr(getattr(importlib.import_module(module), name), method))


def test_the_matrix_names_every_phase_and_every_victim() -> None:
    text = (ROOT / "docs/kill-matrix.md").read_text()
    (head,) = re.findall(r"^\| killed \| (.+) \|$", text, re.M)
    assert head.split(" | ") == PHASES
    assert set(CALLS) == set(PHASES) - {"queued", "running"}
    rows = re.findall(r"^\| \*\*(.+?)\*\* \|(.+)\|$", text, re.M)
    assert [name for name, _ in rows] == ["agent", "shim", "step", "nats-server", "host"]
    assert {cells.count("|") for _, cells in rows} == {len(PHASES) - 1}
