"""RunView: one Run as its page shows it: its failure first, its Steps as a tree, its open gates.

Pure: rows of the read model in, records for the templates out.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from markupsafe import Markup
from staunch.supposed import SUPPOSED

from ci_host.access import Token, may_open
from ci_host.adapters.sql.coverage import Earlier, coverage_of
from ci_host.adapters.sql.queries import RunDetail
from ci_host.adapters.sql.tables import AttemptRow, ReportedTestRow, StepRow
from ci_host.api.failures import FailureCard, annotations_of, card_of
from ci_host.engine.people import is_barred
from ci_host.web.markdown import rendered
from pipelines.commands import SENSITIVE, GateTerms
from pipelines.failure import Failure
from pipelines.ids import StepKey, step_token
from pipelines.job import Annotation, Coverage

VALUE_CHARS_MAX = 160
HANDED_SHOWN_MAX = 20


@dataclass(slots=True)
class Node:
    """A Step in the tree, or (without `step`) a scope that holds some."""

    name: str
    path: str
    step: StepRow | None = None
    attempts: Sequence[AttemptRow] = ()
    note: str = ""
    children: list["Node"] = field(default_factory=list)


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
        tree=tree(detail.steps, detail.attempts),
        chosen=_chosen(detail.attempts, failure, job, attempt),
        handed=[_handed(row, shown_above, detail) for row in newest[:HANDED_SHOWN_MAX]],
        more_handed=len(newest[HANDED_SHOWN_MAX:]),
    )


def tree(steps: Sequence[StepRow], attempts: Sequence[AttemptRow]) -> list[Node]:
    """The Steps by their scopes (`eu/deploy` is in `eu`), in the order they were asked for."""
    of_key: dict[str, list[AttemptRow]] = defaultdict(list)
    for one in attempts:
        of_key[one.key].append(one)
    top = Node("", "")
    scopes: dict[str, Node] = {"": top}
    for step in steps:
        path, _, name = step.key.rpartition("/")
        tried = sorted(of_key[step.key], key=lambda one: one.attempt)
        node = Node(name, step.key, step, tried, _note(step, tried))
        _scope(scopes, path).children.append(node)
    return top.children


def _scope(scopes: dict[str, Node], path: str) -> Node:
    if path not in scopes:
        above, _, name = path.rpartition("/")
        scopes[path] = Node(name, path)
        _scope(scopes, above).children.append(scopes[path])
    return scopes[path]


def _note(step: StepRow, attempts: Sequence[AttemptRow]) -> str:
    """What is worth saying of a Step in half a line."""
    if step.recalled_from == SUPPOSED:
        return "not done: taken to have succeeded"
    if step.recalled_from:
        return f"recalled from run {step.recalled_from}"
    if step.kind == "gate" and step.state == "succeeded":
        return _opened_by(_decoded(step.value_json))
    if step.kind == "call":
        return _decoded(step.error_json)["message"] if step.error_json else ""
    if step.kind == "job":
        return attempts[-1].message if attempts else ""
    if step.error_json is not None:
        return msgspec.json.decode(step.error_json, type=Failure).message
    if step.value_json is None:
        return ""
    text = step.value_json
    if _decoded(text) == SENSITIVE:
        return SENSITIVE
    return text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 1] + "…"


def _opened_by(value: object) -> str:
    if not isinstance(value, Mapping):
        return ""
    inputs = ", ".join(f"{name} = {said}" for name, said in value.get("inputs", {}).items())
    by = ", ".join(value.get("by", []))
    said = f"approved by {by}" if by else "opened by its timeout"
    comment = value.get("comment") or ""
    return " · ".join(part for part in (said, inputs, comment) if part)


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
