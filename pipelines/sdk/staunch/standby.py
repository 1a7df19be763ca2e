"""The options `wait_on_failure` and `debuggers` of `step.job`, checked."""

from collections.abc import Sequence
from typing import Any

from staunch.durations import Duration, seconds
from staunch.shell import text

WAIT_S_MAX = 14_400.0


def wait_of(given: Duration) -> float:
    """For how long, in seconds. Raises TypeError or ValueError."""
    wait_s = seconds(given, "wait_on_failure")
    if wait_s > WAIT_S_MAX:
        raise ValueError(f"wait_on_failure={given!r}: a job may wait for four hours at most")
    return wait_s


def debuggers_of(given: Sequence[str]) -> list[str]:
    """Names, and `@team`. Raises TypeError."""
    if isinstance(given, str):
        raise TypeError(f"debuggers must be a list of names: debuggers=[{given!r}]")
    return [text(one, "one of debuggers") for one in given]


def check(asked: dict[str, Any]) -> None:
    """Raises ValueError for debuggers of a job that waits for nobody."""
    if "debuggers" in asked and "wait_s" not in asked:
        raise ValueError("debuggers=[…] says who may look into a job with wait_on_failure=…")
