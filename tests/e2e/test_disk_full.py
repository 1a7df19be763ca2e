"""A full disk: nothing is promised that cannot be kept, nothing kept is lost; room is enough."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.demo.installation import until
from tests.e2e.installed import FILE, ZERO, installed, plan, unique

pytestmark = [
    pytest.mark.xdist_group("disk"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

DISK = "48m"
BLOCK_BYTES = 4_096
# More than fits into the last block of any file: it needs room.
CHANGES = 100
RECOVERY_S = 40.0
JOB = plan('await step.job("build", run="echo built")')
GATE = plan('await step.gate("go")')


class Disk:
    """A small disk of its own, for a data directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Until nothing more fits."""
        with self._filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(BLOCK_BYTES))

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def there():
    """An installation whose data directory has a small disk of its own, and that disk."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-disk-"))
    folder.chmod(0o711)
    data = folder / "data"
    data.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(data)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        with installed(folder) as found:
            yield found, Disk(data)
    finally:
        subprocess.run(["umount", "-l", str(data)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def here(there):
    """The installation, with room on its disk again when the test is over."""
    found, disk = there
    yield found
    disk.free()


@pytest.fixture
def disk(there):
    return there[1]


@pytest.fixture
def repo(here, request):
    return here.repo(unique(request.node.name))


def large(commit: str) -> list[tuple[str, str, str]]:
    """A push of this commit that deletes many branches too."""
    gone = [(commit, ZERO, f"refs/heads/gone-{number}") for number in range(CHANGES)]
    return [(ZERO, commit, "refs/heads/main"), *gone]


def test_a_full_disk_promises_nothing_and_loses_nothing_and_room_is_all_it_needs(here, disk, repo):
    commit = repo.pushed({FILE: GATE})
    run = here.run(commit)
    here.waiting(run, "gate go")
    disk.fill()
    # A forge that is told this sends the same call again.
    identity, answer = here.hook(repo, large(commit))
    assert (answer.status, answer.body["title"]) == (503, "Cannot be kept now")
    assert "send the same call again" in answer.detail
    # What is there can be read all the while.
    assert here.show(run)["waiting_for"] == "gate go"
    disk.free()
    until(
        "the same call to be taken",
        lambda: here.hook(repo, large(commit), identity)[1].status == 202,
        RECOVERY_S,
    )
    assert here.outcome(identity)["state"] == "started"
    assert here.hook(repo, large(commit), identity)[1].body["duplicate"] is True
    assert here.answer(run, "go").status == 200
    assert here.ended(run)["state"] == "succeeded"
    after = repo.pushed({FILE: JOB})
    assert here.ended(here.run(after))["state"] == "succeeded"
    assert here.verdict(after).state == "success"


def test_what_dies_on_a_full_disk_comes_back_when_there_is_room(here, disk, repo):
    commit = repo.pushed({FILE: GATE})
    run = here.run(commit)
    here.waiting(run, "gate go")
    before = here.installation.pids()
    disk.fill()
    for name, pid in before.items():
        if name != "supervisor":
            os.kill(pid, signal.SIGKILL)
    log = here.installation.data.parent / "up.log"
    until("the reason to be told", lambda: "is full" in log.read_text())
    disk.free()
    until("an answer", lambda: answers(here, run), RECOVERY_S)
    assert here.answer(run, "go").status == 200
    assert here.ended(run)["state"] == "succeeded"
    after = repo.pushed({FILE: JOB})
    assert here.ended(here.run(after))["state"] == "succeeded"
    assert here.verdict(after).state == "success"
    assert here.installation.pids()["supervisor"] == before["supervisor"]


def answers(here, run) -> bool:
    """Whether the host knows the run again, and can keep what it is told."""
    done = here.installation.command("signal", run, "ping")
    return done.returncode == 0
