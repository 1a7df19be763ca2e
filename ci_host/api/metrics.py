"""Route of metrics: what an installation has done and has to do, in the text form of Prometheus
(https://prometheus.io/docs/instrumenting/exposition_formats/). No label has a value for each run.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric, SummaryMetricFamily

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.measured import Backlog, StreamNumbers, backlogs, streams
from ci_host.adapters.sql.counts import Counts, counts
from ci_host.api.auth import Here, Person
from ci_host.api.description import answers
from ci_host.api.pools import alive
from ci_host.api.services import Services
from ci_host.engine.line import Depth

DISTRIBUTION = "staunch-ci"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
EXAMPLE = """# TYPE staunch_runs gauge
staunch_runs{state="running"} 1.0
"""
# Where what is not told yet would wait.
OUTBOXES = (
    *map(subjects.intake_stream, range(subjects.INTAKE_LANES)),
    subjects.STATUSES,
    subjects.COMMENTS,
    subjects.ANNOUNCEMENTS,
)

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses=answers("text/plain", EXAMPLE),
)
async def show_metrics(here: Here, _who: Person) -> PlainTextResponse:
    """Needs a token that reads everything: `authorization` in Prometheus' `scrape_configs`."""
    registry = CollectorRegistry()
    registry.register(await _found(here))
    texts = generate_latest(registry) + generate_latest(here.requests.registry)
    return PlainTextResponse(texts, media_type=CONTENT_TYPE)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What was found, as a collector of Prometheus' library."""

    counts: Counts
    depths: list[Depth]
    slots: dict[str, int]
    streams: dict[str, StreamNumbers]
    backlogs: list[Backlog]

    def collect(self) -> Iterator[Metric]:
        """Every number, each with what it means."""
        release = ((version(DISTRIBUTION),), 1)
        yield _gauge("build_info", "This release", ["version"], [release])
        yield from self._runs()
        yield from self._queues()
        yield from self._streams()

    def _runs(self) -> Iterator[Metric]:
        known = self.counts
        yield _gauge("runs", "Runs that are not over", ["state"], _by_one(known.open_runs))
        took = SummaryMetricFamily(
            "staunch_run_duration_seconds", "Runs that are over", labels=["repo", "state"]
        )
        for one in known.ended:
            took.add_metric([one.repo, one.state], one.count, one.seconds)
        yield took
        yield _gauge("gates_waiting", "Gates that wait for an answer", [], [((), known.gates)])
        said = "Webhook calls of the last 30 days"
        yield _gauge("deliveries", said, ["state"], _by_one(known.deliveries))

    def _queues(self) -> Iterator[Metric]:
        waiting = [((one.pool,), one.waiting) for one in self.depths]
        yield _gauge("jobs_waiting", "Jobs that wait for a slot or a limit", ["pool"], waiting)
        at_work = [((one.pool,), one.at_runners) for one in self.depths]
        yield _gauge("jobs_at_runners", "Jobs that are taken, or are next", ["pool"], at_work)
        said = "Slots of the runners that are alive"
        yield _gauge("runner_slots", said, ["pool"], _by_one(self.slots))

    def _streams(self) -> Iterator[Metric]:
        found, at = self.streams, ["stream"]
        messages = [((name,), one.messages) for name, one in found.items()]
        yield _gauge("stream_messages", "Messages that are kept", at, messages)
        sizes = [((name,), one.bytes) for name, one in found.items()]
        yield _gauge("stream_bytes", "Bytes of them on the disk", at, sizes)
        behind = [
            ((name,), max(0, found[name].last_seq - folded))
            for name, folded in self.counts.cursors.items()
            if name in found
        ]
        yield _gauge("read_model_behind", "Messages not yet in the read model", at, behind)
        owed = [((one.stream, one.consumer), one.messages) for one in self.backlogs]
        yield _gauge("outbox_messages", "What is still to be told", [*at, "consumer"], owed)


def _by_one(values: Mapping[str, int]) -> Iterator[tuple[Sequence[str], int]]:
    return (((name,), count) for name, count in values.items())


def _gauge(
    name: str, said: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], int]]
) -> Metric:
    family = GaugeMetricFamily(f"staunch_{name}", said, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


async def _found(here: Services) -> _Found:
    return _Found(
        counts=await asyncio.to_thread(counts, here.model),
        depths=list(here.dispatcher.depths()),
        slots=dict((await alive(here.bus, {})).slots),
        streams=await streams(here.bus),
        backlogs=[one for name in OUTBOXES for one in await backlogs(here.bus, name)],
    )
