"""What a runner keeps on disk: its name, its jobs, and which jobs it has reported.

Here: the layout under `--data`. The name lives with the jobs on purpose: a runner whose data is
gone is another runner, so that it can never take an old lease of its own for unstarted work.

    runner-id       made once
    agent.lock      flock'ed while an agent uses this directory
    jobs/<job id>/  see job_directory
    reported/<job id>   an empty file for each job reported in the last day
"""

import contextlib
import fcntl
import os
import re
import secrets
import socket
from pathlib import Path

REPORTED_S = 86_400.0


class InUse(Exception):
    """Another agent works in this directory; give this one its own --data."""


class DataDirectory:
    """The directory of one runner. Opening it takes its lock for the life of the process."""

    def __init__(self, path: str | Path) -> None:
        # Absolute: a shim works from another directory.
        root = Path(path).absolute()
        self.root = root
        self.jobs = root / "jobs"
        self._reported = root / "reported"
        for folder in (root, self.jobs, self._reported):
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._lock = os.open(root / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise InUse(f"another agent uses {root}; give this one its own --data") from None

    def close(self) -> None:
        """Let go of the lock."""
        os.close(self._lock)

    @property
    def is_named(self) -> bool:
        """Whether it is a runner's already."""
        return (self.root / "runner-id").exists()

    def runner_id(self, given: str = "") -> str:
        """This runner's name on the bus: made, or taken, at the first call, then kept."""
        path = self.root / "runner-id"
        with contextlib.suppress(FileNotFoundError):
            return path.read_text(encoding="ascii").strip()
        host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40] or "runner"
        name = given or f"{host}-{secrets.token_hex(4)}"
        fresh = path.with_suffix(".new")
        fresh.write_text(name + "\n", encoding="ascii")
        fresh.replace(path)
        return name

    def job(self, job: str) -> Path:
        """Where the job is, or would be."""
        assert "/" not in job
        return self.jobs / job

    def job_directories(self) -> list[Path]:
        """The jobs that have a directory; half-made and half-removed ones have hidden names."""
        return sorted(path for path in self.jobs.iterdir() if not path.name.startswith("."))

    def leftovers(self) -> list[Path]:
        """What a crash left half made or half removed."""
        return [path for path in self.jobs.iterdir() if path.name.startswith(".")]

    def mark_reported(self, job: str) -> None:
        """Remember that the job's report is durable, so a late redelivery is not run again."""
        self._reported.joinpath(job).touch()

    def is_reported(self, job: str) -> bool:
        """Whether this runner reported the job in the last day."""
        return self._reported.joinpath(job).exists()

    def reported(self) -> frozenset[str]:
        """The jobs that this runner reported in the last day."""
        return frozenset(path.name for path in self._reported.iterdir())

    def forget_old(self, now: float) -> None:
        """Drop the marks that no redelivery can need any more."""
        for path in self._reported.iterdir():
            if path.stat().st_mtime < now - REPORTED_S:
                path.unlink(missing_ok=True)
