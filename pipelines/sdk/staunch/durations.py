"""Durations: `90`, `"250ms"`, `"90s"`, `"20m"`, `"2h"`, `"7d"` as seconds."""

import math
import re

Duration = float | int | str

SECONDS_OF = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
# The longest wait that still fits every clock on the way: a hundred years.
SECONDS_MAX = 100 * 366 * 86400.0

_form = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")


def seconds(value: Duration, what: str = "duration") -> float:
    """The duration in seconds. Raises TypeError or ValueError, naming `what` it was for."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(
            f"{what} must be seconds or a text like '90s', '20m' or '2h', not {value!r}"
        )
    if isinstance(value, str):
        match = _form.fullmatch(value)
        if match is None:
            raise ValueError(
                f"{what} {value!r} is no duration; write a number and one of ms, s, m, h, d, w:"
                " '250ms', '90s', '20m', '2h', '7d'"
            )
        result = float(match[1]) * SECONDS_OF[match[2]]
    else:
        result = float(value)
    if not math.isfinite(result) or not 0 <= result <= SECONDS_MAX:
        raise ValueError(f"{what} {value!r} must be between 0 and 100 years")
    return result


def optional_seconds(value: Duration | None, what: str = "timeout") -> float | None:
    """The same, where None means without end."""
    return None if value is None else seconds(value, what)
