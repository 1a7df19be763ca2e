"""/metrics: what is counted is what is there, in a form that Prometheus reads."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from prometheus_client.parser import text_string_to_metric_families

from ci_host.api.metrics import OUTBOXES
from ci_host.api.requests_measured import NO_ROUTE, RequestNumbers, RequestsMeasured
from tests.web.installation import Installation, installation

pytestmark = [pytest.mark.nats]

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "operating.md"
Key = frozenset[tuple[str, str]]


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as made:
        yield made


@pytest.fixture(scope="module")
def here(
    portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("metrics")
    with portal.wrap_async_context_manager(installation(folder)) as made:
        yield made


def scraped(portal: BlockingPortal, here: Installation) -> dict[str, dict[Key, float]]:
    """Every sample by its name and labels."""
    answer = portal.call(here.ask, "GET", "/metrics")
    assert answer.status == 200, answer
    found: dict[str, dict[Key, float]] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.documentation, family.name
        for one in family.samples:
            found.setdefault(one.name, {})[frozenset(one.labels.items())] = one.value
    return found


def of(**labels: str) -> Key:
    return frozenset(labels.items())


def test_what_waits_and_what_is_kept_is_counted(portal, here):
    found = scraped(portal, here)
    assert found["staunch_runs"] == {of(state="running"): 1.0}
    assert found["staunch_gates_waiting"] == {of(): 1.0}
    assert found["staunch_stream_messages"][of(stream="LEASES")] == 1.0
    assert found["staunch_stream_bytes"][of(stream="LEASES")] > 0
    assert found["staunch_read_model_behind"][of(stream="LEASES")] == 0.0
    assert found["staunch_build_info"]
    assert found["process_resident_memory_bytes"][of()] > 1e6
    assert {dict(key)["stream"] for key in found.get("staunch_outbox_messages", {})} <= {*OUTBOXES}


def test_requests_are_counted_by_route_and_never_by_what_somebody_makes_up(portal, here):
    async def sent(_message) -> None:
        """Nobody reads it."""

    async def ask() -> None:
        numbers = here.services.requests
        for path in ("/api/v1/runs/nobody", "/made/up", "/made/up/2", "/hooks/x"):
            scope = {"type": "http", "method": "GET", "path": path, "headers": []}
            scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http"}
            await RequestsMeasured(here.app, numbers)(scope, _nothing, sent)
        await RequestsMeasured(here.app, numbers)(scope | {"method": "BREW"}, _nothing, sent)

    portal.call(ask)
    name = "staunch_http_request_seconds_count"
    counted = scraped(portal, here)[name]
    assert counted[of(method="GET", route="/api/v1/runs/{run}", status="401")] == 1.0
    assert counted[of(method="GET", route=NO_ROUTE, status="404")] == 2.0
    assert counted[of(method="GET", route="/hooks/{connection_id}", status="405")] == 1.0
    assert {dict(key)["method"] for key in counted} == {"GET", "other"}


async def _nothing() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _answers(scope, _receive, send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})


def test_it_is_measured_until_the_answer_begins(portal):
    clock = iter([10.0, 10.25])
    numbers = RequestNumbers(lambda: next(clock))

    async def ask() -> None:
        scope = {"type": "http", "method": "GET", "path": "/x"}

        async def sent(_message) -> None:
            """Nobody reads it."""

        await RequestsMeasured(_answers, numbers)(scope, _nothing, sent)

    portal.call(ask)
    labels = {"method": "GET", "route": NO_ROUTE, "status": "204"}
    assert numbers.registry.get_sample_value("staunch_http_request_seconds_sum", labels) == 0.25


def test_the_guide_says_what_each_number_means(portal, here):
    guide = GUIDE.read_text()
    answer = portal.call(here.ask, "GET", "/metrics")
    families = {one.name for one in text_string_to_metric_families(answer.body.decode())}
    ours = {name for name in families if name.startswith("staunch_")}
    assert len(ours) > 10
    for name in ours:
        assert f"`{name.removesuffix('_created')}`" in guide, name


@pytest.mark.parametrize("secret", ["", "wrong"])
def test_nobody_reads_them_without_a_token(portal, here, secret):
    stranger = replace(here, secret=secret)
    assert portal.call(stranger.ask, "GET", "/metrics").status == 401
