"""Starting a shim: forked from the zygote where there is one, else by a command line.

Here: the two ways, and what exit codes mean. The shim's first half ends as soon as the second holds
the lock and has marked the job as started, so waiting for it takes milliseconds. Both ways may be
gone for one job: the lock and the mark see to it that it is run once.
"""

import asyncio
import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import structlog

from runners import confided, job_directory

# -I and -S: no site, no user files, no environment. So the path to this package is given by hand.
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); "
_SHIM = _START + "from runners.keeper import main; sys.exit(main(sys.argv[1]))"
_ZYGOTE = _START + "from runners.zygote import main; sys.exit(main(int(sys.argv[1])))"
_ROOT = str(Path(__file__).resolve().parent.parent)
# As a last argument of the zygote: room for what its shims are called in a list of processes.
ROOM = " " * 1_024
ANSWER_S = 30.0
END_S = 2.0

log = structlog.get_logger("runners.launcher")


class ShimFailed(Exception):
    """The shim did not come up; the message says what it said."""


class Zygote:
    """The agent's end of a zygote. One that died is made anew with the next shim."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def start(self) -> None:
        """Have one, without waiting until it is ready."""
        with self._changing:
            self._living()

    def close(self) -> None:
        """End it. The shims that it forked go on."""
        with self._changing:
            self._bury()

    @property
    def pid(self) -> int | None:
        """Its process, or the last one that was."""
        return None if self._process is None else self._process.pid

    def fork(self, directory: Path, told: bytes) -> int | None:
        """Have a shim forked, and tell it; the exit code of its first half. None: there is none.

        Then nobody knows how far it came: what is on the disk does.
        """
        secrets, secrets_end = os.pipe2(os.O_CLOEXEC)
        answer, answer_end = os.pipe2(os.O_CLOEXEC)
        try:
            asked = self._ask(directory, [secrets, answer_end])
        finally:
            os.close(secrets)
            os.close(answer_end)
        try:
            # A pipe that nobody reads any more: its reader is gone, which the answer says as well.
            with contextlib.suppress(BrokenPipeError), open(secrets_end, "wb") as writing:
                if asked:
                    writing.write(told)
            return _code_in(answer) if asked else None
        finally:
            os.close(answer)

    def _ask(self, directory: Path, descriptors: list[int]) -> bool:
        with self._changing:
            try:
                socket.send_fds(self._living(), [os.fsencode(directory)], descriptors)
            except OSError as error:
                log.warning("the zygote is gone, a shim starts without it", reason=str(error))
                self._bury()
                return False
        return True

    def _living(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            log.warning("the zygote had ended, another is started", code=self._process.returncode)
            self._bury()
        if self._line is None:
            self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                words = [sys.executable, "-I", "-S", "-c", _ZYGOTE, _ROOT, str(theirs.fileno())]
                self._process = subprocess.Popen(  # noqa: S603  our own words, no shell
                    [*words, ROOM],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    cwd="/",
                    env={},
                    start_new_session=True,
                )
        return self._line

    def _bury(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._process is not None:
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


async def start_shim(
    directory: Path, secrets: Mapping[str, str] | None = None, zygote: Zygote | None = None
) -> None:
    """Start the shim of `directory` and return when it holds the lock. Raises ShimFailed.

    `secrets` are the values of the job's variables, which go through a pipe.

    Another shim that runs, or ran, in the directory is no error: the state on disk tells.
    """
    # In a thread, which a cancelled agent still waits for: a shim killed between its mark and
    # its fork would leave a job that looks started and is not.
    code = await asyncio.to_thread(_start, directory, confided.encode(secrets or {}), zygote)
    if code not in (0, job_directory.EXIT_LOCKED, job_directory.EXIT_STARTED_BEFORE):
        said = (directory / job_directory.SHIM_ERRORS).read_text(errors="replace")[-1000:]
        raise ShimFailed(f"the shim of {directory.name} ended with {code}: {said}")


def _start(directory: Path, told: bytes, zygote: Zygote | None) -> int:
    code = None if zygote is None else zygote.fork(directory, told)
    return run_first_half(directory, told) if code is None else code


def run_first_half(directory: Path, told: bytes) -> int:
    """Start the shim by a command line, and answer the exit code of its first half."""
    with (directory / job_directory.SHIM_ERRORS).open("ab") as errors:
        return subprocess.run(  # noqa: S603  our own words, no shell
            [sys.executable, "-I", "-S", "-c", _SHIM, _ROOT, str(directory)],
            input=told,
            stdout=errors,
            stderr=errors,
            cwd="/",
            env={},
            start_new_session=True,
            check=False,
        ).returncode


def _code_in(answer: int) -> int | None:
    """What the first half says; None where it died without a word, or is silent for too long."""
    poll = select.poll()
    poll.register(answer, select.POLLIN)
    said = b""
    while not said.endswith(b"\n"):
        if not poll.poll(ANSWER_S * 1_000):
            return None
        data = os.read(answer, 16)
        if not data:
            return None
        said += data
    return int(said)
