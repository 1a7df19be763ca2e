"""Calendar: when a cron expression is due in a time zone, daylight saving included.

The rules are those of Debian's cron, by the library `cronsim`: a fixed time that the clocks skip is
due when they go on, one that comes twice is due the first time; an expression whose minute or hour
begins with `*` follows the time that really passes. Due times are seconds since the epoch.
"""

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from pipelines.schedule import Schedule, ScheduleRefused

LOOK_BACK_S_FIRST = 3_600.0
# Names that a machine's own set-up gives a meaning: two engines need not agree on one.
NO_PLACES = frozenset({"localtime", "posixrules", "Factory"})


class CronCalendar:
    """See Calendar."""

    def next_due(self, schedule: Schedule, after: float) -> float | None:
        return next(_dues(schedule, after), None)

    def newest_due(
        self, schedule: Schedule, after: float, until: float, at_most: int
    ) -> list[float]:
        first = list(islice(_up_to(schedule, after, until), at_most + 1))
        if len(first) <= at_most:
            return first
        # Years of minutes may have been missed: find the newest from the end, not from the start.
        back = LOOK_BACK_S_FIRST
        while True:
            start = max(after, until - back)
            found = deque(_up_to(schedule, start, until), maxlen=at_most)
            if len(found) == at_most:
                return list(found)
            back *= 2


def check(schedule: Schedule, now: float) -> None:
    """Raises ScheduleRefused where the expression or the zone means nothing."""
    where = schedule.line
    try:
        _zone(schedule.tz)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ScheduleRefused(
            f"there is no time zone {schedule.tz!r}; write one like 'Europe/Berlin' or 'UTC'", where
        ) from None
    if len(schedule.cron.split()) != 5:
        raise ScheduleRefused(f"the cron expression {schedule.cron!r} must have five fields", where)
    try:
        due = CronCalendar().next_due(schedule, now)
    except CronSimError as error:
        raise ScheduleRefused(
            f"the cron expression {schedule.cron!r} cannot be read: {str(error).lower()}; write"
            " minute, hour, day of the month, month, day of the week",
            where,
        ) from None
    if due is None:
        raise ScheduleRefused(f"the cron expression {schedule.cron!r} is never due", where)


def _up_to(schedule: Schedule, after: float, until: float) -> Iterator[float]:
    for due in _dues(schedule, after):
        if due > until:
            return
        yield due


def _dues(schedule: Schedule, after: float) -> Iterator[float]:
    """Due times later than `after`, each once, in order."""
    last = after
    for moment in CronSim(schedule.cron, datetime.fromtimestamp(after, _zone(schedule.tz))):
        due = moment.timestamp()
        # Around a change of the clocks the library can name a time again, or one that is over.
        if due > last:
            last = due
            yield due


@lru_cache(maxsize=1_000)
def _zone(name: str) -> tzinfo:
    if name in NO_PLACES:
        raise ZoneInfoNotFoundError(name)
    return UTC if name == "UTC" else ZoneInfo(name)
