"""Tracer: whatever the collector, the database or a Run does, others have their turn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from ci_host.tracer import BROKEN_TRIES_MAX, NOT_FOLDED_S, NOT_FOLDED_TRIES_MAX, Tracer
from pipelines.announcement import Announcement, AnnouncementKind
from pipelines.run import RunState
from pipelines.turn import End
from tests.owed import Feed, KeptOwed
from tests.web.world import Story, World

pytestmark = pytest.mark.anyio


@dataclass
class Collector:
    """See Exporter."""

    answer: SpanExportResult | Exception = SpanExportResult.SUCCESS
    names: list[str] = field(default_factory=list)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if isinstance(self.answer, Exception):
            raise self.answer
        self.names += [span.name for span in spans]
        return self.answer


def told(run: str, kind: AnnouncementKind = AnnouncementKind.RUN_FINISHED) -> Announcement:
    return Announcement(kind=kind, repo="r", run=run, turn=2, number=0, at=1.0, data={})


async def sent(world: World, collector: Collector, *owed: KeptOwed) -> None:
    await Tracer(Feed(*owed), world.model, collector, "https://ci.test").serve()  # type: ignore[arg-type]


@pytest.fixture
async def run(tmp_path: Path) -> tuple[World, str]:
    world = World(tmp_path)
    story = await Story(world).begin()
    await story.later().turn(end=End(state=RunState.SUCCEEDED))
    return world, story.run


async def test_a_run_that_is_over_is_sent_and_the_rest_of_what_is_told_is_passed_over(run):
    world, id_ = run
    collector, beside, owed = (
        Collector(),
        KeptOwed(told(id_, AnnouncementKind.PING)),
        KeptOwed(told(id_)),
    )
    await sent(world, collector, beside, owed)
    assert collector.names[0].startswith("RUN ") and beside.is_done and owed.is_done


async def test_a_collector_that_takes_nothing_is_asked_again_and_later_each_time(run):
    world, id_ = run
    first, third = KeptOwed(told(id_)), KeptOwed(told(id_), times=3)
    await sent(world, Collector(SpanExportResult.FAILURE), first, third)
    assert (first.waits, third.waits) == ([1.0], [4.0]) and not first.is_done


async def test_an_error_of_ours_ends_nothing_and_is_let_go_in_the_end(run):
    world, id_ = run
    first, last = KeptOwed(told(id_)), KeptOwed(told(id_), times=BROKEN_TRIES_MAX)
    await sent(world, Collector(ValueError("a bug")), first, last)
    assert first.waits and not first.is_done and last.is_done


async def test_a_run_that_the_read_model_does_not_have_yet_is_waited_for_but_not_for_ever(run):
    world, _ = run
    first, last = (
        KeptOwed(told("1-unknown")),
        KeptOwed(told("1-unknown"), times=NOT_FOLDED_TRIES_MAX),
    )
    await sent(world, Collector(), first, last)
    assert first.waits == [NOT_FOLDED_S] and last.is_done
