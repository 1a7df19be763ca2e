"""RunView: one Run as its page shows it: its failure first, its Steps as a tree, its open gates.

Pure: rows of the read model in, records for the templates out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup

from ci_host.access import Token, may_open
from ci_host.adapters.sql.coverage import Earlier, coverage_of
from ci_host.adapters.sql.queries import RunDetail
from ci_host.adapters.sql.tables import AttemptRow, ReportedTestRow, StepRow
from ci_host.api.failures import FailureCard, annotations_of, card_of
from ci_host.engine.people import is_barred
from ci_host.web.markdown import rendered
from ci_host.web.step_tree import Node, step_tree
from pipelines.commands import GateTerms
from pipelines.ids import StepKey, step_token
from pipelines.job import Annotation, Coverage

HANDED_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class HandedCard:
    """What an Attempt handed over for people. `html` unset: `summary` is shown as it is.

    `tests` are the counts of its tests; `broken`: some of those that failed. `coverage`: of its
    lines, beside `earlier`, the branch's before.
    """

    job: AttemptRow
    summary: str
    html: Markup | None
    annotations: Sequence[Annotation]
    left_out: Sequence[str]
    denied: Sequence[str]
    artifacts: Sequence[Mapping[str, Any]]
    tests: Mapping[str, Any] | None
    broken: Sequence[ReportedTestRow]
    coverage: Coverage | None
    earlier: Earlier | None


@dataclass(frozen=True, slots=True)
class GateCard:
    """A Gate that waits. `may_answer`: whoever looks is one of its approvers.

    `is_barred`: whoever looks caused the Run, and the gate wants somebody else.
    """

    key: str
    token: str
    terms: GateTerms
    approved_by: Sequence[str]
    may_answer: bool
    is_barred: bool
    since: float


@dataclass(frozen=True, slots=True)
class RunView:
    """The parts of a Run's page. `chosen` is the Attempt whose log is shown.

    `more_handed` is how many Attempts handed something over that is not among `handed`.
    """

    failure: FailureCard | None
    gates: Sequence[GateCard]
    tree: Sequence[Node]
    chosen: AttemptRow | None
    handed: Sequence[HandedCard]
    more_handed: int


def run_view(detail: RunDetail, who: Token, job: str = "", attempt: int = 0) -> RunView:
    """The Run as `who` sees it; `job` and `attempt` choose a log, empty: whatever matters most."""
    failure = card_of(detail)
    newest = _newest(detail.attempts)
    shown_above = failure.job if failure is not None else None
    return RunView(
        failure=failure,
        gates=[_gate(step, who) for step in detail.steps if _is_open_gate(step)],
        tree=step_tree(detail.steps, detail.attempts, job),
        chosen=_chosen(detail.attempts, failure, job, attempt),
        handed=[_handed(row, shown_above, detail) for row in newest[:HANDED_SHOWN_MAX]],
        more_handed=len(newest[HANDED_SHOWN_MAX:]),
    )


def _decoded(text: str | None) -> Any:  # noqa: ANN401 whatever was stored
    return None if text is None else msgspec.json.decode(text)


def _newest(attempts: Sequence[AttemptRow]) -> list[AttemptRow]:
    """The newest Attempt of each job, of those that handed something over for people."""
    last: dict[str, AttemptRow] = {}
    for row in sorted(attempts, key=lambda one: one.attempt):
        last[row.key] = row
    return [
        row
        for row in last.values()
        if row.summary
        or row.tests_json
        or row.coverage_json
        or row.annotations_json != "[]"
        or row.left_out_json != "[]"
        or row.denied_json != "[]"
        or row.artifacts_json != "[]"
    ]


def _handed(row: AttemptRow, shown_above: AttemptRow | None, detail: RunDetail) -> HandedCard:
    is_above = shown_above is not None and shown_above.job == row.job
    return HandedCard(
        job=row,
        summary=row.summary,
        html=rendered(row.summary),
        annotations=[] if is_above else annotations_of(row),
        left_out=_decoded(row.left_out_json),
        denied=_decoded(row.denied_json),
        artifacts=_decoded(row.artifacts_json),
        tests=_decoded(row.tests_json),
        broken=[one for one in detail.broken_tests if one.job == row.job],
        coverage=coverage_of(row),
        earlier=detail.earlier.get(row.key),
    )


def _is_open_gate(step: StepRow) -> bool:
    return step.kind == "gate" and step.state == "running" and step.gate_json is not None


def _gate(step: StepRow, who: Token) -> GateCard:
    assert step.gate_json is not None
    terms = msgspec.json.decode(step.gate_json, type=GateTerms)
    approved_by = _decoded(step.approved_by_json) or []
    caused_it = is_barred(who, terms)
    return GateCard(
        key=step.key,
        token=step_token(StepKey(step.key)),
        terms=terms,
        approved_by=approved_by,
        may_answer=may_open(who, terms.approvers) and not caused_it and who.name not in approved_by,
        is_barred=caused_it,
        since=step.started_at,
    )


def _chosen(
    attempts: Sequence[AttemptRow], failure: FailureCard | None, job: str, attempt: int
) -> AttemptRow | None:
    asked = [one for one in attempts if one.key == job and attempt in (0, one.attempt)]
    if asked:
        return max(asked, key=lambda one: one.attempt)
    if failure is not None and failure.job is not None:
        return failure.job
    running = [one for one in attempts if one.state == "running"]
    if running:
        return running[0]
    return max(attempts, key=lambda one: (one.started_at or 0, one.queued_at), default=None)
