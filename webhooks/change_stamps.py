"""Change stamps: how far lists of repositories are read, and when something in them changed."""

from collections.abc import Iterable
from datetime import datetime

# Of what changed lately, and of all that there is; of 100 repositories each, or 50.
LATELY_PAGES_MAX = 5
WHOLE_PAGES_MAX = 100


def seconds_of(at: datetime | None) -> float:
    """Seconds since the epoch; 0: it never changed, or before that."""
    return 0.0 if at is None else max(0.0, at.timestamp())


def stamps_of(found: Iterable[tuple[int, datetime | None]]) -> dict[str, float]:
    """When each changed, by its id. One of which nothing is said is left out: whoever relied on the
    list would wait for a word that never comes."""
    return {str(id): seconds_of(at) for id, at in found if at is not None}
