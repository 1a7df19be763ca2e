"""Tracer: sends the spans of Runs that are over to a collector, by OTLP over HTTP.

It follows the Announcements with a place of its own on the bus, so a collector that is away for a
day has all of them when it is back. What the spans say is `spans.py`'s.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.announcements import NatsAnnouncements
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.consumer import ConsumerRule, NatsQueue
from ci_host.adapters.sql import queries
from ci_host.adapters.sql.read_model import ReadModel
from ci_host.ports import Owed, Queue
from ci_host.spans import spans_of
from pipelines.announcement import Announcement, AnnouncementKind, decode_announcement

CONSUMER = "tracer"
BATCH_MAX = 500
RETRY_S_FIRST = 1.0
RETRY_S_MAX = 300.0
# The read model follows the same Turns, and may be a moment behind.
NOT_FOLDED_S = 0.5
NOT_FOLDED_TRIES_MAX = 240
# Of an error of our own: then the next Run has its turn.
BROKEN_TRIES_MAX = 10

log = structlog.get_logger()


class Exporter(Protocol):
    """As OpenTelemetry's exporters are. Blocking."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them; FAILURE: they were not taken."""


class Tracer:
    """One per installation. `url`: of this installation."""

    def __init__(
        self, ended: Queue[Announcement], model: ReadModel, exporter: Exporter, url: str
    ) -> None:
        self._ended, self._model, self._exporter, self._url = ended, model, exporter, url

    async def serve(self) -> None:
        """Send for ever."""
        async for owed in self._ended:
            if owed.item.kind is not AnnouncementKind.RUN_FINISHED:
                await owed.done()
                continue
            try:
                await self._send(owed)
            except Exception:  # the edge: neither one Run nor the database may end the host
                log.exception("run_not_traced", run=owed.item.run, tries=owed.times)
                await (owed.done() if owed.times >= BROKEN_TRIES_MAX else self._later(owed))

    async def _send(self, owed: Owed[Announcement]) -> None:
        run = owed.item.run
        detail = await asyncio.to_thread(queries.run_detail, self._model, run)
        if detail is None or detail.run.finished_at is None:
            if owed.times >= NOT_FOLDED_TRIES_MAX:
                log.error("run_not_traced", run=run, reason="the read model does not have its end")
                return await owed.done()
            return await owed.later(NOT_FOLDED_S)
        spans = list(spans_of(detail, self._url))
        for first in range(0, len(spans), BATCH_MAX):
            batch = spans[first : first + BATCH_MAX]
            told = await asyncio.to_thread(self._exporter.export, batch)
            if told is not SpanExportResult.SUCCESS:
                log.warning("spans_not_taken", run=run, tries=owed.times)
                return await self._later(owed)
        await owed.done()

    async def _later(self, owed: Owed[Announcement]) -> None:
        await owed.later(min(RETRY_S_MAX, RETRY_S_FIRST * 2.0 ** min(owed.times - 1, 10)))


async def tracer_of(bus: Bus, model: ReadModel, url: str) -> Tracer:
    """The one of this installation. An installation that is told of a collector today does not
    send it its past."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    rule = ConsumerRule(
        subjects.ANNOUNCEMENTS,
        CONSUMER,
        ("announcement.>",),
        in_flight_max=1,
        begins_after=await NatsAnnouncements(bus).newest(),
    )
    queue: NatsQueue[Announcement] = NatsQueue(bus, rule, lambda got: decode_announcement(got.body))
    return Tracer(queue, model, OTLPSpanExporter(), url)
