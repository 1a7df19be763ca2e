"""Traces: a collector gets each Run that is over as spans, and jobs know theirs from the start."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.demo.installation import until
from tests.e2e.installed import TIMEOUT_S, installed

pytestmark = [pytest.mark.slow, pytest.mark.sandbox, pytest.mark.nats, pytest.mark.bwrap]

SAYS = 'echo "told $TRACEPARENT, and of keys: ${OTEL_EXPORTER_OTLP_HEADERS-nothing}"'
PLAN = f"""
await step.job('trace', run={SAYS!r})
await step.job('broken', run='exit 3')
"""


class Collector:
    """It is away at first: what is sent then is refused."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.refused = 0
        self.keys: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.keys.add(self.headers.get("x-key", ""))
                self.send_response(collector.take(self.path, body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def take(self, path: str, body: bytes) -> int:
        if path != "/v1/traces" or not self.refused:
            self.refused += 1
            # No code by which its sender would try again by itself.
            return 400
        for one in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {a.value.string_value for a in one.resource.attributes}
            self.spans += [span for scope in one.scope_spans for span in scope.spans]
        return 200


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_run_that_is_over_is_spans_and_its_jobs_knew_theirs(tmp_path, monkeypatch, collector):
    url = f"http://127.0.0.1:{collector.server.server_port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=of-the-collector")
    tmp_path.chmod(0o711)
    with installed(tmp_path) as here:
        repo = here.repo("traced")
        run = repo.plan(PLAN)
        ended = here.ended(run)
        until("its spans", lambda: len(collector.spans) >= 5, TIMEOUT_S)
        log = here.text(f"/jobs/{ended['attempts'][0]['job']}/log")
    assert collector.refused and collector.keys == {"of-the-collector"}
    named = {span.name: span for span in collector.spans}
    assert set(named) == {"RUN pipeline", "trace", "trace #1", "broken", "broken #1"}
    root, attempt = named["RUN pipeline"], named["trace #1"]
    assert f"00-{root.trace_id.hex()}-{attempt.span_id.hex()}-01, and of keys: nothing" in log
    assert {span.trace_id for span in collector.spans} == {root.trace_id}
    assert (named["trace"].parent_span_id, attempt.parent_span_id) == (
        root.span_id,
        named["trace"].span_id,
    )
    said = {one.key: one.value.string_value for one in root.attributes}
    assert said["cicd.pipeline.run.id"] == run and said["cicd.pipeline.result"] == "failure"
    assert said["cicd.pipeline.run.url.full"] == f"{here.installation.url}/runs/{run}"
    bad = {name for name, span in named.items() if span.status.code == Status.STATUS_CODE_ERROR}
    assert bad == {"RUN pipeline", "broken", "broken #1"}
    for span in collector.spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
    assert "staunch" in collector.services
