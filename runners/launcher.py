"""Starting a shim: the one command line, and what its exit codes mean.

Here: nothing but that. The shim's first half ends as soon as the second holds the lock and has
marked the job as started, so waiting for it takes milliseconds.
"""

import asyncio
import sys
from pathlib import Path

from runners import job_directory

# -I and -S: no site, no user files, no environment. So the path to this package is given by hand.
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from runners.shim import main; sys.exit(main(sys.argv[1]))"  # noqa: E501
_ROOT = str(Path(__file__).resolve().parent.parent)


class ShimFailed(Exception):
    """The shim did not come up; the message says what it said."""


async def start_shim(directory: Path) -> None:
    """Start the shim of `directory` and return when it holds the lock.

    Another shim that runs, or ran, in the directory is no error: the state on disk tells.
    """
    with (directory / job_directory.SHIM_ERRORS).open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _START, _ROOT, str(directory)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            cwd="/",
            env={},
            start_new_session=True,
        )
        code = await process.wait()
    if code not in (0, job_directory.EXIT_LOCKED, job_directory.EXIT_STARTED_BEFORE):
        said = (directory / job_directory.SHIM_ERRORS).read_text(errors="replace")[-1000:]
        raise ShimFailed(f"the shim of {directory.name} ended with {code}: {said}")
