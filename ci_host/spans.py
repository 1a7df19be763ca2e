"""Spans: a Run that is over, as OpenTelemetry's spans, by its conventions for CI/CD. Pure.

https://opentelemetry.io/docs/specs/semconv/cicd/ ; the names are those of their own package. Who
sends them is `tracer.py`.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from urllib.parse import quote

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.semconv._incubating.attributes import cicd_attributes as cicd
from opentelemetry.semconv._incubating.attributes import vcs_attributes as vcs
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from ci_host.adapters.sql.queries import RunDetail
from ci_host.adapters.sql.tables import AttemptRow, RunRow, StepRow
from pipelines.ids import RunId
from pipelines.trace import span_id, trace_id

NS = 1_000_000_000
SCOPE = InstrumentationScope("staunch")
SUCCESS = cicd.CicdPipelineResultValues.SUCCESS.value
# By the state of a Run, of a Step or of an Attempt.
RESULTS: Mapping[str, str] = MappingProxyType(
    {
        "succeeded": SUCCESS,
        "continued": SUCCESS,
        "failed": cicd.CicdPipelineResultValues.FAILURE.value,
        "timed_out": cicd.CicdPipelineResultValues.TIMEOUT.value,
        "cancelled": cicd.CicdPipelineResultValues.CANCELLATION.value,
    }
)
OTHER = cicd.CicdPipelineResultValues.ERROR.value


def spans_of(detail: RunDetail, url: str) -> Iterator[ReadableSpan]:
    """The Run, its Steps, and the Attempts of its jobs, each below what asked for it.

    `url`: of this installation.
    """
    resource = Resource({"service.name": "staunch", "service.instance.id": url})
    made = _Maker(detail.run, resource, f"{url}/runs/{quote(detail.run.id)}")
    yield made.of_run()
    for step in detail.steps:
        yield made.of_step(step)
    for attempt in detail.attempts:
        yield made.of_attempt(attempt)


class _Maker:
    """Of one Run. What did not end by itself ended with it."""

    def __init__(self, run: RunRow, resource: Resource, page: str) -> None:
        self._run, self._resource, self._page = run, resource, page
        self._end = run.finished_at or run.created_at

    def of_run(self) -> ReadableSpan:
        run = self._run
        attributes: dict[str, str | int] = {
            cicd.CICD_PIPELINE_NAME: run.pipeline,
            cicd.CICD_PIPELINE_ACTION_NAME: cicd.CicdPipelineActionNameValues.RUN.value,
            cicd.CICD_PIPELINE_RUN_ID: run.id,
            cicd.CICD_PIPELINE_RUN_URL_FULL: self._page,
            cicd.CICD_PIPELINE_RESULT: _result(run.state),
            vcs.VCS_REPOSITORY_NAME: run.repo_name,
            vcs.VCS_REF_HEAD_NAME: run.ref,
            vcs.VCS_REF_HEAD_REVISION: run.commit,
            "staunch.attempt": run.attempt,
            "staunch.event": run.event,
        }
        if run.pull_request is not None:
            attributes[vcs.VCS_CHANGE_ID] = str(run.pull_request)
        return self._made(
            f"RUN {run.pipeline}",
            (run.id, ""),
            (run.created_at, self._end),
            run.state,
            attributes,
            kind=SpanKind.SERVER,
        )

    def of_step(self, step: StepRow) -> ReadableSpan:
        attributes: dict[str, str | int] = {
            cicd.CICD_PIPELINE_TASK_NAME: step.key,
            cicd.CICD_PIPELINE_TASK_RUN_ID: f"{self._run.id} {step.key}",
            cicd.CICD_PIPELINE_TASK_RUN_RESULT: _result(step.state),
            cicd.CICD_PIPELINE_TASK_RUN_URL_FULL: f"{self._page}#{quote(step.key)}",
            "staunch.step.kind": step.kind,
            "staunch.step.attempts": step.attempt,
        }
        times = (step.started_at, step.finished_at or self._end)
        return self._made(
            step.key, (self._name_of(step.key), self._run.id), times, step.state, attributes
        )

    def of_attempt(self, attempt: AttemptRow) -> ReadableSpan:
        ended = attempt.finished_at or self._end
        began = attempt.started_at or attempt.queued_at or ended
        attributes: dict[str, str | int] = {
            cicd.CICD_PIPELINE_TASK_NAME: attempt.key,
            cicd.CICD_PIPELINE_TASK_RUN_ID: attempt.job,
            cicd.CICD_PIPELINE_TASK_RUN_RESULT: _result(attempt.state),
            cicd.CICD_WORKER_ID: attempt.runner,
            "staunch.pool": attempt.pool,
            "staunch.attempt": attempt.attempt,
        }
        if attempt.exit_code is not None:
            attributes["process.exit.code"] = attempt.exit_code
        queued = Event("queued", timestamp=int((attempt.queued_at or began) * NS))
        return self._made(
            f"{attempt.key} #{attempt.attempt}",
            (attempt.job, self._name_of(attempt.key)),
            (began, ended),
            attempt.state,
            attributes,
            [queued],
        )

    def _name_of(self, key: str) -> str:
        return f"{self._run.id} {key}"

    def _made(
        self,
        name: str,
        own_and_above: tuple[str, str],
        times: tuple[float, float],
        state: str,
        attributes: dict[str, str | int],
        events: list[Event] | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> ReadableSpan:
        own, above = own_and_above
        began, ended = times
        is_bad = _result(state) != SUCCESS
        return ReadableSpan(
            name=name,
            context=self._context(own),
            parent=self._context(above) if above else None,
            resource=self._resource,
            attributes=attributes | ({ERROR_TYPE: state} if is_bad else {}),
            events=events or [],
            kind=kind,
            status=Status(StatusCode.ERROR if is_bad else StatusCode.UNSET),
            start_time=int(began * NS),
            end_time=int(max(began, ended) * NS),
            instrumentation_scope=SCOPE,
        )

    def _context(self, name: str) -> SpanContext:
        return SpanContext(
            int(trace_id(RunId(self._run.id)), 16),
            int(span_id(name), 16),
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )


def _result(state: str) -> str:
    return RESULTS.get(state, OTHER)
