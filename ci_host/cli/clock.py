"""Clock: points in time as a terminal shows them: of this machine's zone, which is said."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime


def moment(at: float) -> str:
    """A point in time in a sentence or a line of its own."""
    return f"{_local(at):%Y-%m-%d %H:%M:%S %Z}"


def day(at: float) -> str:
    """The day, and the zone: what stands above times of day."""
    return f"{_local(at):%Y-%m-%d %Z}"


def times_of_day(moments: Iterable[float], first: str) -> Iterator[str]:
    """Each as a time of day, with its day above it where that is not the one before.

    `first`: the day that stands above all of them.
    """
    above = first
    for at in moments:
        said = f"{_local(at):%H:%M:%S.%f}"[:-3]
        if day(at) != above:
            above = day(at)
            said = f"{above}\n{said}"
        yield said


def _local(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone()
