"""Starting a shim: the one command line, and what its exit codes mean.

Here: nothing but that. The shim's first half ends as soon as the second holds the lock and has
marked the job as started, so waiting for it takes milliseconds.
"""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from runners import confided, job_directory

# -I and -S: no site, no user files, no environment. So the path to this package is given by hand.
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from runners.keeper import main; sys.exit(main(sys.argv[1]))"
)
_ROOT = str(Path(__file__).resolve().parent.parent)


class ShimFailed(Exception):
    """The shim did not come up; the message says what it said."""


async def start_shim(directory: Path, secrets: Mapping[str, str] | None = None) -> None:
    """Start the shim of `directory` and return when it holds the lock.

    `secrets` are the values of the job's variables, which go through a pipe.

    Another shim that runs, or ran, in the directory is no error: the state on disk tells.
    """
    # In a thread, which a cancelled agent still waits for: a shim killed between its mark and
    # its fork would leave a job that looks started and is not.
    code = await asyncio.to_thread(run_first_half, directory, confided.encode(secrets or {}))
    if code not in (0, job_directory.EXIT_LOCKED, job_directory.EXIT_STARTED_BEFORE):
        said = (directory / job_directory.SHIM_ERRORS).read_text(errors="replace")[-1000:]
        raise ShimFailed(f"the shim of {directory.name} ended with {code}: {said}")


def run_first_half(directory: Path, told: bytes) -> int:
    """Start the shim, and answer the exit code of its first half."""
    with (directory / job_directory.SHIM_ERRORS).open("ab") as errors:
        return subprocess.run(  # noqa: S603  our own words, no shell
            [sys.executable, "-I", "-S", "-c", _START, _ROOT, str(directory)],
            input=told,
            stdout=errors,
            stderr=errors,
            cwd="/",
            env={},
            start_new_session=True,
            check=False,
        ).returncode
