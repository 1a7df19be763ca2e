"""The process of a shim: how it comes to keep a job, apart from whoever started it.

Here: the lock, the mark that nothing is started twice, leaving the agent's process tree. What it
then does is `shim`. Standard library only: every job pays for it.
"""

from __future__ import annotations

import errno
import os
import sys

from runners import confided, job_directory, spawn
from runners.shim import Shim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runners.masking import Forms


def main(directory: str) -> int:
    """Take the lock, leave the agent's process tree, and run the job. Exit codes: 75, 76."""
    lock = job_directory.take_lock(directory)
    if lock is None:
        return job_directory.EXIT_LOCKED
    secrets = confided.take(sys.stdin.buffer.read())
    looked_for = _looked_for(secrets)
    launch = job_directory.read_record(directory, job_directory.LAUNCH)
    if launch is None or not job_directory.mark_started(directory):
        return job_directory.EXIT_STARTED_BEFORE
    # The lock goes along with the fork; the agent waits only for the first half.
    if os.fork():
        os._exit(0)
    os.setsid()
    spawn.become_keeper()
    me = job_directory.identity_of(os.getpid())
    assert me is not None
    job_directory.write_record(directory, job_directory.SHIM, me)
    try:
        Shim(directory, confided.launch_with(launch, secrets), looked_for).run(lock)
    except OSError as error:
        # A vanished directory takes its log and records with it; there is nobody left to tell.
        if error.errno != errno.ENOENT or os.path.exists(directory):
            raise
    return 0


def _looked_for(secrets: dict[str, str]) -> Forms | None:
    if not secrets:
        return None
    from runners.masking import Forms

    return Forms(value.encode() for value in secrets.values())
