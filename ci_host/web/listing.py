"""Listing: which part of the list of runs an address asks for. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query

from ci_host.adapters.sql.queries import RunFilter
from ci_host.api.run_filters import RunFilters
from pipelines.event import EventKind
from pipelines.run import RunState

PAGE_RUNS = 50
STATES = tuple(state.value for state in RunState)
EVENTS = tuple(kind.value for kind in EventKind)


@dataclass(frozen=True, slots=True)
class Listing(RunFilters):
    """The filters in the address; `before` is the page's place, as the list before gave it."""

    before: Annotated[float | None, Query()] = None

    def part(self, now: float, repos: Collection[str] | None) -> RunFilter:
        """What to ask of the read model, of these Repos; None: of all. Raises Problem."""
        return self.wish(now, repos, self.before, PAGE_RUNS)

    def address(self, before: float | None = None) -> str:
        """The query string of the list with these filters, at another place."""
        place = {} if before is None else {"before": repr(before)}
        return urlencode({**self.given(), **place})

    @property
    def is_filtered(self) -> bool:
        """Whether anything is left out."""
        return bool(self.given())
