"""RunAddress: what the address of a Run's page asks for, and the addresses beside it. Pure.

Whatever a page can show has an address of its own, so that Back, a bookmark and a reader without
JavaScript get there. What an address asks for and is not there is left out of account.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query

KEY_CHARS_MAX = 2_000
# Groups of Steps that are shown one by one.
OPENED_MAX = 20
# Of what an address may name; there are fewer.
TURN_MAX = 1_000_000_000


class Tab(StrEnum):
    TIMELINE = "timeline"
    GRAPH = "graph"
    TESTS = "tests"
    ARTIFACTS = "artifacts"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class RunAddress:
    """`job`, `attempt` and `service` choose the log; the rest is what the tab shows.

    `after_s`, `until_s`: the part of the Timeline, in seconds since the Run began. `opened`: the
    groups of Steps that are shown one by one. `turn`: that of the history; 0: the newest.
    `beside`: another attempt of the job, beside this one.
    """

    job: Annotated[str, Query(max_length=KEY_CHARS_MAX)] = ""
    attempt: Annotated[int, Query(ge=0)] = 0
    service: Annotated[str, Query(max_length=64)] = ""
    tab: Annotated[str, Query(max_length=20)] = ""
    after_s: Annotated[float | None, Query(alias="from", ge=0, allow_inf_nan=False)] = None
    until_s: Annotated[float | None, Query(alias="to", ge=0, allow_inf_nan=False)] = None
    opened: Annotated[tuple[str, ...], Query(alias="open")] = ()
    turn: Annotated[int, Query(ge=0, le=TURN_MAX)] = 0
    beside: Annotated[int, Query(ge=0)] = 0

    @property
    def shown(self) -> Tab:
        """The tab that is shown; the Timeline if the address names none that there is."""
        return Tab(self.tab) if self.tab in tuple(Tab) else Tab.TIMELINE

    def to_tab(self, tab: Tab) -> str:
        """The address of a tab as it is at first, beside the same log."""
        return RunAddress(self.job, self.attempt, self.service, tab).query()

    def to_log(self, job: str, attempt: int = 0) -> str:
        """The address of a job's log, beside the same tab."""
        return self.to(job=job, attempt=attempt, service="", beside=0) + "#log"

    def logs(self) -> Callable[[str], str]:
        """What makes the address of a job's log, as `to_log` does, for a page that has many."""
        same = replace(self, job="", attempt=0, service="", beside=0).query().removeprefix("?")
        rest = f"&{same}" if same else ""
        return lambda job: f"?{urlencode({'job': job})}{rest}#log"

    def to_beside(self, job: str, attempt: int, other: int) -> str:
        """The address of two attempts' logs beside each other, and the same tab."""
        return self.to(job=job, attempt=attempt, service="", beside=other) + "#log"

    def to_part(self, begin_s: float | None, end_s: float | None) -> str:
        """The address of a part of the Timeline; None: of all of it."""
        return self.to(after_s=begin_s, until_s=end_s, tab=Tab.TIMELINE.value)

    def to_turn(self, number: int) -> str:
        """The address of a Turn in the history; 0: of whichever is the newest."""
        return self.to(turn=number, tab=Tab.HISTORY.value)

    def turning(self, group: str) -> str:
        """The address at which a group is open that is closed here, or the other way round."""
        kept = tuple(one for one in self.opened if one not in (group, ""))
        return self.to(opened=kept if group in self.opened else (*kept, group)[-OPENED_MAX:])

    def to(self, **changes: Any) -> str:  # noqa: ANN401 whatever the fields are
        """The address with other values in it."""
        return replace(self, **changes).query()

    def query(self) -> str:
        """As a link relative to the page."""
        given: list[tuple[str, Any]] = [("job", self.job), ("attempt", self.attempt)]
        given += [("service", self.service), ("tab", self.tab), ("turn", self.turn)]
        given += [("beside", self.beside)]
        given += [("open", one) for one in self.opened]
        found = [(name, value) for name, value in given if value]
        times = (("from", self.after_s), ("to", self.until_s))
        return "?" + urlencode(
            found
            + [(name, f"{at:.3f}".rstrip("0").rstrip(".")) for name, at in times if at is not None]
        )


@dataclass(frozen=True, slots=True)
class TabLink:
    """One tab in the bar. `count` says in a word or two what is behind it."""

    name: str
    address: str
    is_shown: bool
    count: str = ""
    is_bad: bool = False


def tab_links(address: RunAddress, counts: Sequence[tuple[Tab, str, bool]]) -> list[TabLink]:
    """The bar, in the order of `Tab`; `counts`: (tab, what is behind it, whether that is bad)."""
    said = {tab: (count, is_bad) for tab, count, is_bad in counts}
    return [
        TabLink(
            tab.value.capitalize(), address.to_tab(tab), tab is address.shown, *said.get(tab, ())
        )
        for tab in Tab
    ]
