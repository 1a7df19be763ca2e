"""`run_timeout(…)`: how long a Run may take, said at the top of a pipeline file.

Like a trigger it belongs to the module that says it: nothing leaks from one pipeline to another.
"""

import sys
from dataclasses import dataclass

from staunch.durations import Duration, seconds

DECLARED = "__staunch_run_timeout__"


@dataclass(frozen=True, slots=True)
class RunTimeout:
    """So many seconds after it has begun, a Run is stopped; said at this place."""

    seconds: float
    file: str
    line: int


def run_timeout(duration: Duration) -> None:
    """Stop each Run of this pipeline so long after it has begun: its cleanup runs, and it fails."""
    frame = sys._getframe(1)
    if frame.f_code.co_name != "<module>":
        raise RuntimeError(
            "run_timeout belongs at the top of the pipeline's file, not in a function"
        )
    if DECLARED in frame.f_globals:
        raise RuntimeError("run_timeout was said before in this file; a run has one")
    limit = seconds(duration, "run_timeout")
    if limit == 0:
        raise ValueError("run_timeout must be more than nothing")
    frame.f_globals[DECLARED] = RunTimeout(limit, frame.f_code.co_filename, frame.f_lineno)
