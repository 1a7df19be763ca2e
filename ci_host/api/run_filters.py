"""RunFilters: which runs somebody wants to see, in the words of an address.

The list of the pages, that of the API and a saved view take the same ones. Pure.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import Query

from ci_host.adapters.sql.queries import RunFilter
from ci_host.api.problems import Problem

DAY_S = 86_400.0
TIME_CHARS_MAX = 40
UNITS_S = {"m": 60.0, "h": 3_600.0, "d": DAY_S, "w": 7 * DAY_S}
_AGO = re.compile(r"([0-9]{1,6})([mhdw])\Z", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class RunFilters:
    """An empty one does not filter. `repo`: name or id; `ref`: a branch, or a full name; `commit`:
    its beginning; `sender`: who caused it. `since`, `until`: when it began: a day (in UTC, both
    inclusive), a moment in ISO 8601, seconds since the epoch, or how long ago: `7d`, `12h`."""

    repo: Annotated[str, Query(max_length=500)] = ""
    state: Annotated[str, Query(max_length=20)] = ""
    ref: Annotated[str, Query(max_length=1_000)] = ""
    commit: Annotated[str, Query(max_length=64)] = ""
    sender: Annotated[str, Query(max_length=250)] = ""
    event: Annotated[str, Query(max_length=40)] = ""
    since: Annotated[str, Query(max_length=TIME_CHARS_MAX)] = ""
    until: Annotated[str, Query(max_length=TIME_CHARS_MAX)] = ""

    def given(self) -> dict[str, str]:
        """Those that filter, by name."""
        found = {name: getattr(self, name).strip() for name in NAMES}
        return {name: value for name, value in found.items() if value}

    def over(self, view: Mapping[str, str]) -> "RunFilters":
        """These, and of a view what these leave open."""
        known = {name: value for name, value in view.items() if name in NAMES}
        return replace(self, **(known | self.given()))

    def wish(
        self, now: float, repos: Collection[str] | None, before: float | None, limit: int
    ) -> RunFilter:
        """What to ask of the read model, of these Repos; None: of all. Raises Problem."""
        given = dict.fromkeys(NAMES, "") | self.given()
        ref = given["ref"]
        if ref and not ref.startswith("refs/"):
            ref = f"refs/heads/{ref}"
        return RunFilter(
            repo=given["repo"],
            state=given["state"],
            ref=ref,
            commit=given["commit"],
            sender=given["sender"],
            event=given["event"],
            since=moment(given["since"], now) if given["since"] else None,
            until=moment(given["until"], now, is_end=True) if given["until"] else None,
            before=before,
            limit=limit,
            # In one order: equal wishes are the same to the last letter.
            repos=None if repos is None else sorted(repos),
        )


NAMES = tuple(one.name for one in fields(RunFilters))


def moment(text: str, now: float, *, is_end: bool = False) -> float:
    """Seconds since the epoch. `is_end`: of a day its end. Raises Problem."""
    if found := _AGO.match(text):
        return now - int(found[1]) * UNITS_S[found[2]]
    try:
        if _DAY.match(text):
            day = date.fromisoformat(text)
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
            return midnight.timestamp() + (DAY_S if is_end else 0.0)
        if text.replace(".", "", 1).isdecimal() and text.isascii():
            seconds = float(text)
        else:
            told = datetime.fromisoformat(text)
            seconds = (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        seconds = math.inf
    if not math.isfinite(seconds):
        raise Problem(
            422,
            "No such time",
            f"{text!r} is no time: write a day (2026-11-27), how long ago (7d, 12h, 30m), ISO 8601,"
            " or seconds since the epoch.",
        )
    return seconds
