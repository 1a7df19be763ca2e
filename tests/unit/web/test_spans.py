"""Spans: what they are named, what is above them, and what a state becomes in the conventions."""

import pytest
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import StatusCode

from ci_host.adapters.sql.queries import RunDetail
from ci_host.adapters.sql.tables import AttemptRow, RunRow, StepRow
from ci_host.spans import spans_of
from pipelines.ids import JobId, RunId
from pipelines.trace import span_id, trace_id, traceparent

RUN = "1-0123456789abcdef0123"
JOB = f"{RUN}.token.2"


def told(state: str = "succeeded", **attempt):
    run = RunRow(
        id=RUN, repo="tea/7", repo_name="me/shop", connection="tea", pipeline="deploy", file="f",
        bundle="b", event="push", ref="refs/heads/main", commit="c" * 40, state=state,
        created_at=10.0, finished_at=20.0, pull_request=7,
    )  # fmt: skip
    step = StepRow(
        run=RUN, key="test[3.11]", position=1, kind="job", state=state, started_at=11.0, turn=1
    )
    facts = {"job": JOB, "run": RUN, "key": "test[3.11]", "attempt": 2, "state": state}
    row = AttemptRow(**{**facts, "queued_at": 12.0, "runner": "r1", **attempt})
    detail = RunDetail(
        run=run, steps=[step], attempts=[row], turns=[], inputs=[], restarts=[]
    )  # fmt: skip
    return list(spans_of(detail, "https://ci.test"))


def test_a_run_is_above_its_steps_and_these_above_their_attempts():
    run, step, attempt = told(started_at=13.0, finished_at=14.0)
    assert (run.name, run.kind, run.parent) == ("RUN deploy", SpanKind.SERVER, None)
    assert step.parent.span_id == run.context.span_id
    assert attempt.parent.span_id == step.context.span_id
    assert {one.context.trace_id for one in (run, step, attempt)} == {int(trace_id(RunId(RUN)), 16)}
    assert (run.start_time, run.end_time) == (10 * 10**9, 20 * 10**9)
    assert (attempt.start_time, attempt.end_time) == (13 * 10**9, 14 * 10**9)
    assert [(one.name, one.timestamp) for one in attempt.events] == [("queued", 12 * 10**9)]
    assert run.attributes["vcs.change.id"] == "7"


def test_what_a_job_passes_on_is_its_attempts_span():
    *_, attempt = told()
    _, trace, span, _ = traceparent(RunId(RUN), JobId(JOB)).split("-")
    assert (int(trace, 16), int(span, 16)) == (attempt.context.trace_id, attempt.context.span_id)
    assert span == span_id(JOB)


@pytest.mark.parametrize(
    ("state", "result"),
    [
        ("succeeded", "success"),
        ("failed", "failure"),
        ("timed_out", "timeout"),
        ("cancelled", "cancellation"),
        ("lost", "error"),
        ("refused", "error"),
    ],
)
def test_each_end_has_its_word_in_the_conventions(state, result):
    run, step, attempt = told(state)
    assert run.attributes["cicd.pipeline.result"] == result
    assert step.attributes["cicd.pipeline.task.run.result"] == result
    is_bad = result != "success"
    for one in (run, step, attempt):
        assert (one.status.status_code is StatusCode.ERROR) == is_bad
        assert one.attributes.get("error.type", state) == state


def test_what_did_not_end_by_itself_ended_with_its_run():
    _, step, attempt = told("cancelled")
    assert step.end_time == attempt.end_time == 20 * 10**9
    assert attempt.start_time <= attempt.end_time
