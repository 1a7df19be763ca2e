"""RunTabs: what each tab of a Run's page shows, asked for only if it is the one that is shown."""

import asyncio
from collections.abc import Sequence
from typing import Any

from ci_host.adapters.sql import reported_tests
from ci_host.adapters.sql.queries import RunDetail
from ci_host.adapters.sql.tables import ReportedTestRow
from ci_host.adapters.sql.turn_parts import turn_parts
from ci_host.api.services import Services
from ci_host.web.drawing import draw
from ci_host.web.graph_layout import NODE_HEIGHT, NODE_WIDTH, Layout, layout_of
from ci_host.web.run_address import RunAddress, Tab, tab_links
from ci_host.web.run_history import HistoryPage, history_page, window
from ci_host.web.run_view import HandedCard, RunView
from ci_host.web.step_graph import graph_of
from ci_host.web.timeline import PHASE_WORDS, timeline
from ci_host.web.zoom import window_of, zoom_of

# Of the tests of a Run; those that failed are always among them.
TESTS_SHOWN_MAX = 300
# Among so many of a Run the slowest are looked for.
LOOKED_AT_MAX = 3_000

# Of what a Turn printed.
PRINTED_CHARS_MAX = 20_000


async def tab_of(
    here: Services, detail: RunDetail, view: RunView, asked: RunAddress, now: float
) -> dict[str, Any]:
    """The bar of tabs, and what the template of the one that is shown wants."""
    shown: dict[str, Any] = {
        "tab": asked.shown.value,
        "tabs": tab_links(asked, counts_of(view.handed)),
    }
    match asked.shown:
        case Tab.TIMELINE:
            return shown | await asyncio.to_thread(_timeline, detail, asked, now)
        case Tab.GRAPH:
            layout = await asyncio.to_thread(_layout, detail, asked)
            size = {"node_width": NODE_WIDTH, "node_height": NODE_HEIGHT}
            return shown | {"layout": layout, **size}
        case Tab.TESTS:
            rows = await asyncio.to_thread(_tests, here, detail.run.id)
            return shown | {"tests": rows[:TESTS_SHOWN_MAX], "more_tests": _more(view, rows)}
        case Tab.ARTIFACTS:
            return shown
        case Tab.HISTORY:
            page = await asyncio.to_thread(_history, here, detail, asked)
            return shown | {"history": page, "printed_max": PRINTED_CHARS_MAX}


def _history(here: Services, detail: RunDetail, asked: RunAddress) -> HistoryPage | None:
    _, first, last = window(len(detail.turns), asked.turn)
    return history_page(detail, turn_parts(here.model, detail.run.id, first, last), asked.turn)


def _layout(detail: RunDetail, asked: RunAddress) -> Layout:
    return layout_of(graph_of(detail.steps, asked.opened))


def _timeline(detail: RunDetail, asked: RunAddress, now: float) -> dict[str, Any]:
    line = timeline(detail, now)
    window = window_of(line, asked.after_s, asked.until_s)
    return {
        "line": line,
        "drawing": draw(line, window, asked.opened),
        "zoom": zoom_of(line, window),
        "phase_words": PHASE_WORDS,
    }


def counts_of(handed: Sequence[HandedCard]) -> list[tuple[Tab, str, bool]]:
    """What the bar says of the tests and of what was kept."""
    tests = [card.tests for card in handed if card.tests]
    failed = sum(one["failed"] for one in tests)
    passed = sum(one["passed"] for one in tests)
    kept = sum(len(card.artifacts) for card in handed)
    said = []
    if tests:
        said.append((Tab.TESTS, f"{failed} failed" if failed else f"{passed}", failed > 0))
    if kept:
        said.append((Tab.ARTIFACTS, f"{kept}", False))
    return said


def _tests(here: Services, run: str) -> Sequence[ReportedTestRow]:
    """Those that failed first, then the slowest; only of each job's newest Attempt that told."""
    broken = reported_tests.of_run(here.model, run, outcome="broken", limit=TESTS_SHOWN_MAX)
    rows = reported_tests.of_run(here.model, run, limit=LOOKED_AT_MAX)
    newest: dict[str, int] = {}
    for row in (*broken, *rows):
        newest[row.key] = max(row.attempt, newest.get(row.key, 0))
    others = [row for row in rows if row.outcome not in reported_tests.BROKEN]
    told = [*broken, *sorted(others, key=lambda row: -row.seconds)]
    return [row for row in told if newest[row.key] == row.attempt]


def _more(view: RunView, rows: Sequence[ReportedTestRow]) -> int:
    counted = [card.tests for card in view.handed if card.tests]
    told = sum(int(one["passed"] + one["failed"] + one["skipped"]) for one in counted)
    return max(0, told - len(rows[:TESTS_SHOWN_MAX]))
