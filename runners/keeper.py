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
    from typing import NoReturn

    from runners.masking import Forms


def main(directory: str) -> int:
    """Keep the job in this process. Exit codes of its first half: 0, 75, 76."""
    keep(directory)
    return 0


def keep(directory: str, reply: int = -1) -> None:
    """Take the lock, leave whoever started this, and run the job; returns when it is over.

    Only the second half of the process returns. The first ends with its exit code, and says it to
    `reply`, a descriptor, if there is one.
    """
    lock = job_directory.take_lock(directory)
    if lock is None:
        _leave(job_directory.EXIT_LOCKED, reply)
    secrets = confided.take(sys.stdin.buffer.read())
    looked_for = _looked_for(secrets)
    launch = job_directory.read_record(directory, job_directory.LAUNCH)
    if launch is None or not job_directory.mark_started(directory):
        _leave(job_directory.EXIT_STARTED_BEFORE, reply)
    # The lock goes along with the fork; the agent waits only for the first half.
    if os.fork():
        _leave(0, reply)
    if reply >= 0:
        os.close(reply)
    os.setsid()
    spawn.become_keeper()
    me = job_directory.identity_of(os.getpid())
    assert me is not None
    # Of no use after a power cut, so not worth the wait for a disk.
    job_directory.write_record(directory, job_directory.SHIM, me, is_durable=False)
    try:
        Shim(directory, confided.launch_with(launch, secrets), looked_for).run(lock)
    except OSError as error:
        # A vanished directory takes its log and records with it; there is nobody left to tell.
        if error.errno != errno.ENOENT or os.path.exists(directory):
            raise


def _leave(code: int, reply: int) -> NoReturn:
    if reply >= 0:
        os.write(reply, b"%d\n" % code)
    os._exit(code)


def _looked_for(secrets: dict[str, str]) -> Forms | None:
    if not secrets:
        return None
    from runners.masking import Forms

    return Forms(value.encode() for value in secrets.values())
