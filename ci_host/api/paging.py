"""Paging: lists that are known whole and may be long, a page at a time.

A place is a text that no two of a list have and that they are ordered by. So nobody is left out
or listed twice while others come and go. Clients get it as `next` and need not understand it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Annotated, Generic, TypeVar

from fastapi import Query

PAGE_MAX = 1_000
PLACE_CHARS_MAX = 2_000

T = TypeVar("T")

Place = Annotated[str, Query(max_length=PLACE_CHARS_MAX)]
PageSize = Annotated[int, Query(ge=1, le=PAGE_MAX)]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`next` is the place from which the following page goes on; None: that was all."""

    found: Sequence[T]
    next: str | None


def page_of(
    listed: Iterable[T],
    place: Callable[[T], str],
    behind: str,
    limit: int,
    *,
    is_backwards: bool = False,
) -> Page[T]:
    """At most `limit` of them behind a place; empty: from the first on."""
    placed = ((place(one), one) for one in listed)
    rest = [
        (where, one)
        for where, one in placed
        if not behind or (where < behind if is_backwards else where > behind)
    ]
    rest.sort(key=itemgetter(0), reverse=is_backwards)
    shown = rest[:limit]
    following = shown[-1][0] if len(rest) > limit else None
    return Page([one for _, one in shown], following)


def moment(at: float) -> str:
    """A time in a place: as texts, earlier ones are less."""
    return f"{at:020.6f}"
