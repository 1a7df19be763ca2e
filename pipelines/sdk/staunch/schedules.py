"""Schedules: `on.schedule(…)`, its form; and the group that a due Run is in for its overlap.

Whether a cron expression and a time zone mean anything is found out by the host at the push.
"""

from typing import Any, Literal, get_args

from staunch.durations import Duration, seconds
from staunch.event import Scheduled

Overlap = Literal["skip", "queue", "cancel", "allow"]
CatchUp = Literal["none", "last", "all"]

CRON_CHARS_MAX = 200
NAME_CHARS_MAX = 64
CATCH_UP_MAX = 100
# How a Run keeps to its schedule's overlap; the host sees to the others before there is a Run.
GROUP_POLICIES = {"queue": "queue", "cancel": "cancel"}


def declared(
    cron: object,
    *,
    name: object,
    tz: object,
    overlap: object,
    catch_up: object,
    limit: object,
    window: Duration,
    line: int,
) -> dict[str, Any]:
    """The declaration in its wire form. Raises TypeError or ValueError for a wrong one."""
    if not isinstance(cron, str) or not 0 < len(cron) <= CRON_CHARS_MAX:
        raise TypeError(
            f"on.schedule takes a cron expression of at most {CRON_CHARS_MAX} characters, like"
            f" '0 3 * * 1-5', not {cron!r}"
        )
    fields = cron.split()
    if len(fields) != 5:
        raise ValueError(
            f"the cron expression {cron!r} has {len(fields)} fields; write five: minute, hour, day"
            " of the month, month, day of the week"
        )
    for value, known, what in (
        (overlap, get_args(Overlap), "overlap"),
        (catch_up, get_args(CatchUp), "catch_up"),
    ):
        if value not in known:
            raise ValueError(
                f"on.schedule's {what} must be one of {', '.join(known)}, not {value!r}"
            )
    if not isinstance(tz, str) or not tz:
        raise TypeError(f"on.schedule's tz must be a zone's name, like 'Europe/Berlin', not {tz!r}")
    if type(limit) is not int or not 1 <= limit <= CATCH_UP_MAX:
        raise ValueError(
            f"on.schedule's catch_up_limit must be a number from 1 to {CATCH_UP_MAX}, not {limit!r}"
        )
    return {
        "on": "schedule",
        "name": _named(name) if name is not None else " ".join(fields),
        "cron": " ".join(fields),
        "tz": tz,
        "overlap": overlap,
        "catch_up": catch_up,
        "limit": limit,
        "window_s": seconds(window, "on.schedule's catch_up_window"),
        "line": line,
    }


def _named(name: object) -> str:
    is_text = isinstance(name, str) and 0 < len(name) <= NAME_CHARS_MAX and name.isprintable()
    if not is_text or name != str(name).strip():
        raise ValueError(
            f"on.schedule's name must be a printable text of 1 to {NAME_CHARS_MAX} characters"
            f" without space around it, not {name!r}"
        )
    return str(name)


def group_of(pipeline: str, scheduled: Scheduled | None) -> dict[str, Any] | None:
    """The OpenGroup of a scheduled Run in its wire form; None: it is in none for that."""
    policy = GROUP_POLICIES.get(scheduled.overlap) if scheduled is not None else None
    if scheduled is None or policy is None:
        return None
    return {"key": f"schedule {pipeline}/{scheduled.name}", "policy": policy}
