"""Keeper: ends an installation that belongs to one command, however that command ends.

It starts `staunch up` and waits until its standard input closes: the command holds the other end,
so Ctrl-C, an error and `kill -9` all look alike from here. Then it ends `up`, and what outlives
`up` by design: the shims of running jobs, which come back to it as orphans. At last it removes the
directory, if it was told to. Should the keeper itself be killed, `up` ends with it.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from ci_host.parting import die_with_parent

PR_SET_CHILD_SUBREAPER = 36
# More than the supervisor grants its children.
STOP_S = 20.0
GRACE_S = 5.0
LOOK_S = 0.02


def main() -> int:
    """Arguments: the directory to remove at the end (empty: none), then a command. Its exit code.

    The command must keep to this process and what it inherits; its output goes where ours does.
    """
    doomed, *command = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Not SIG_IGN, which `up` would inherit. Only the end of the input ends the keeper.
        signal.signal(number, lambda *_: None)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    up = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)  # noqa: S603
    try:
        _until_over(up.pid)
    finally:
        code = _end(up)
        _end_orphans()
        if doomed:
            _remove(Path(doomed))
    return code


def _until_over(pid: int) -> None:
    """Until the process has ended, or nobody holds the other end of our input any more."""
    poll = select.poll()
    poll.register(os.pidfd_open(pid), select.POLLIN)
    poll.register(sys.stdin.fileno(), select.POLLIN)
    poll.poll()


def _end(up: "subprocess.Popen[bytes]") -> int:
    up.terminate()
    try:
        return up.wait(STOP_S)
    except subprocess.TimeoutExpired:
        up.kill()
        return up.wait()


def _end_orphans() -> None:
    """Ask what came back to us to end, and what is left after the grace is killed."""
    deadline = time.monotonic() + GRACE_S
    asked: set[int] = set()
    while time.monotonic() < deadline + GRACE_S:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended:
            asked.discard(ended)
            continue
        is_late = time.monotonic() > deadline
        for pid in _children():
            # Ours and not waited for, so the number is nobody else's.
            if is_late or pid not in asked:
                os.kill(pid, signal.SIGKILL if is_late else signal.SIGTERM)
                asked.add(pid)
        time.sleep(LOOK_S)


def _children() -> list[int]:
    me = os.getpid()
    return [int(word) for word in Path(f"/proc/self/task/{me}/children").read_text().split()]


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    # A job may have closed directories of its own.
    for place, names, _ in os.walk(folder):
        for name in names:
            os.chmod(os.path.join(place, name), 0o700, follow_symlinks=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
