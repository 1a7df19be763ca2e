"""Listing: which part of the list of runs an address asks for. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query

from ci_host.adapters.sql.queries import RunFilter
from pipelines.run import RunState

PAGE_RUNS = 50
STATES = tuple(state.value for state in RunState)


@dataclass(frozen=True, slots=True)
class Listing:
    """The filters in the address; `before` is the page's place, as the list before gave it."""

    repo: Annotated[str, Query(max_length=500)] = ""
    state: Annotated[str, Query(max_length=20)] = ""
    ref: Annotated[str, Query(max_length=1_000)] = ""
    before: Annotated[float | None, Query()] = None

    def wish(self, repos: Collection[str] | None) -> RunFilter:
        """What to ask of the read model, of these Repos; None: of all."""
        ref = self.ref.strip()
        if ref and not ref.startswith("refs/"):
            ref = f"refs/heads/{ref}"
        return RunFilter(
            repo=self.repo.strip(),
            state=self.state if self.state in STATES else "",
            ref=ref,
            before=self.before,
            limit=PAGE_RUNS,
            repos=repos,
        )

    def address(self, before: float | None = None) -> str:
        """The query string of the list with these filters, at another place."""
        parts = {"repo": self.repo, "state": self.state, "ref": self.ref}
        shown: dict[str, object] = {name: value for name, value in parts.items() if value}
        if before is not None:
            shown["before"] = repr(before)
        return urlencode(shown)

    @property
    def is_filtered(self) -> bool:
        """Whether anything is left out."""
        return bool(self.repo or self.state or self.ref)
