"""View ports: the lists of runs that people have named, and where these are kept.

A view is a person's own: it holds what they look for, and nothing that it finds.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

VIEWS_MAX = 50


class SavedView(msgspec.Struct, frozen=True, kw_only=True):
    """`filters` as an address of the list has them, by name; `at`: when it was saved."""

    name: str
    filters: Mapping[str, str]
    at: float


class SavedViews(Protocol):
    """All views of a person are one record; who writes it has seen the one before."""

    async def read(self, person: str) -> tuple[int, Sequence[SavedView]]:
        """The record and its revision; 0 and none, if there is none. Raises Unavailable."""

    async def write(self, person: str, views: Sequence[SavedView], *, after: int) -> int:
        """Durable when it returns; answers the new revision.

        Raises Conflict: it is not the one of revision `after` any more. Raises Unavailable.
        """
