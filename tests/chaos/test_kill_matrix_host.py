"""The host is killed in each phase of a job, in a real installation: see docs/kill-matrix.md."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.crash_points import CrashPoints, go_on
from tests.chaos.test_kill_matrix import DAEMON, LINES, PHASES, STEPS
from tests.demo.installation import until
from tests.e2e.installed import FILE, Installed, Registered, installed, plan
from tests.runner_world import pids_with

pytestmark = [
    pytest.mark.xdist_group("kill_matrix_host"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

OPTIONS = 'volumes=["shared"], artifacts={"dist": ["dist"]}'
PLAN = plan(f'await step.job("unit", run={STEPS!r}, checkout=False, {OPTIONS})')
AHEAD = plan('await step.job("ahead", run="sleep 0.5", checkout=False)')


class Stage:
    """An installation with one slot, whose agent has crash points."""

    def __init__(self, here: Installed, points: CrashPoints, volume: Path) -> None:
        self.here = here
        self.points = points
        self.go = volume / "go"
        self.count = volume / "count"
        self.repo: Registered = here.repo("matrix")
        self.ahead: Registered = here.repo("ahead")

    def run(self, phase: str) -> str:
        return self.here.run(self.repo.pushed({FILE: PLAN, "phase.txt": phase}))

    def reach(self, phase: str) -> tuple[str, int | None]:
        """A run whose job is in this phase; the agent, if it stands still there."""
        self.go.unlink(missing_ok=True)
        self.count.unlink(missing_ok=True)
        if phase == "running":
            run = self.run(phase)
            until("half of the log", lambda: self.lines(run) >= LINES)
            return run, None
        self.go.touch()
        if phase == "queued":
            self.here.run(self.ahead.pushed({FILE: AHEAD, "phase.txt": phase}))
            return self.run(phase), None
        self.points.stop_at(phase)
        run = self.run(phase)
        return run, until("an agent that stands still", self.points.stopped)

    def log(self, run: str) -> list[str]:
        attempts = self.here.show(run)["attempts"]
        text = self.here.text(f"/jobs/{attempts[0]['job']}/log") if attempts else ""
        return [line for line in text.splitlines() if line.startswith("line ")]

    def lines(self, run: str) -> int:
        return len(self.log(run))

    def kill_host(self) -> None:
        """It is started again by its supervisor."""
        before = self.here.installation.pids()["host"]
        os.kill(before, signal.SIGKILL)
        until("the death of the host", lambda: not os.path.exists(f"/proc/{before}/exe"))


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="staunch-matrix-"))
    folder.chmod(0o711)
    volume = folder / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    points = CrashPoints(folder / "points")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in points.environment.items():
            patched.setenv(name, value)
        try:
            with installed(folder, "--slots", "1", "--volume", f"shared={volume}") as here:
                yield Stage(here, points, volume)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("phase", PHASES)
def test_a_host_that_is_killed_loses_no_job(stage: Stage, phase: str) -> None:
    run, pid = stage.reach(phase)
    stage.kill_host()
    if pid is not None:
        go_on(pid)
    stage.go.touch()
    installation = stage.here.installation
    until("the host to be back", lambda: installation.command("runs").returncode == 0)
    detail = stage.here.ended(run)
    assert detail["state"] == "succeeded", detail["error"]
    (attempt,) = detail["attempts"]
    assert [one["name"] for one in attempt["artifacts"]] == ["dist"]
    until("the whole log", lambda: stage.lines(run) == 2 * LINES)
    assert stage.log(run) == [f"line {i}" for i in range(1, 2 * LINES + 1)]
    assert len(stage.count.read_text().splitlines()) == 1
    until("the end of its daemon", lambda: not pids_with(f"sleep\0{DAEMON}"))
