"""Views: rows of the read model as the JSON that the API promises. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ci_host.adapters.sql.coverage import Earlier, coverage_of
from ci_host.adapters.sql.queries import RunDetail
from ci_host.adapters.sql.reading import columns
from ci_host.adapters.sql.tables import (
    AttemptRow,
    DeliveryRow,
    InputRow,
    ProcessStartRow,
    ReportedTestRow,
    RunRow,
    StepRow,
    TurnRow,
)
from ci_host.api.pools import Pools
from ci_host.api.standing_by import shells, with_standbys
from ci_host.api.waiting import waiting
from ci_host.ref_ports import NotCompared
from ci_host.shell_ports import Terminals
from pipelines.job import Coverage
from pipelines.near_limits import near_limits
from pipelines.note import Note
from pipelines.repo import Connection, Repo
from pipelines.service import ServiceReport, log_of_service
from pipelines.usage import Usage
from webhooks.hook_of_repo import hook_path

# Of the newest Turn, and said in better words elsewhere.
INNER = {
    "error_json",
    "output_json",
    "note_json",
    "given_json",
    "open_json",
    "paused_json",
    "wake_at",
    "usage_json",
    "trust_json",
}

_run_columns = columns(RunRow, but=INNER)
_step_columns = columns(
    StepRow,
    but={"run", "position", "gate_json", "approved_by_json", "value_json", "error_json",
         "settled_in"},
)  # fmt: skip
_attempt_columns = columns(
    AttemptRow, but={"run", *(one for one in AttemptRow.model_fields if one.endswith("_json"))}
)
# Without what only the history view asks for.
_turn_columns = columns(TurnRow, but={"run", "state", "stored_at", "parts_json"})
_input_columns = columns(InputRow, but={"run"})
_delivery_columns = columns(DeliveryRow, but={"runs_json"})
start_view = columns(ProcessStartRow)
test_view = columns(ReportedTestRow, but={"position", "run", "repo"})


def run_view(row: RunRow, url: str) -> dict[str, Any]:
    """One Run as lists show it."""
    view = _run_columns(row)
    view["error"] = _json(row.error_json)
    view["output"] = _json(row.output_json)
    view["given"] = _json(row.given_json)
    view["trust"] = _json(row.trust_json)
    view["note"] = _note(row.note_json)
    usage = usage_of(row)
    view["usage"] = msgspec.structs.asdict(usage)
    view["warnings"] = [
        {**msgspec.structs.asdict(near), "words": near.words(), "advice": near.advice()}
        for near in near_limits(usage)
    ]
    view["url"] = f"{url}/runs/{row.id}"
    return view


def usage_of(row: RunRow) -> Usage:
    """What the Run has used, as of its newest Turn."""
    return msgspec.json.decode(row.usage_json, type=Usage)


def step_view(row: StepRow) -> dict[str, Any]:
    """One Step."""
    view = _step_columns(row)
    view["gate"] = _json(row.gate_json)
    view["approved_by"] = _json(row.approved_by_json)
    view["value"] = _json(row.value_json)
    view["error"] = _json(row.error_json)
    return view


def attempt_view(row: AttemptRow, earlier: Mapping[str, Earlier]) -> dict[str, Any]:
    """One Attempt of a Job. `earlier`: the coverage of the branch before, by job."""
    view = _attempt_columns(row)
    view["waited_s"] = _waited(row)
    view["annotations"] = _json(row.annotations_json)
    view["left_out"] = _json(row.left_out_json)
    view["denied"] = _json(row.denied_json)
    view["services"] = services_view(row)
    view["tests"] = _json(row.tests_json)
    view["coverage"] = coverage_view(row, earlier)
    view["artifacts"] = _json(row.artifacts_json)
    return view


def coverage_view(row: AttemptRow, earlier: Mapping[str, Earlier]) -> dict[str, Any] | None:
    """The counts of an Attempt, beside those of the Run before; None: it reported none."""
    coverage = coverage_of(row)
    if coverage is None:
        return None
    before = earlier.get(row.key)
    return {
        **_counts(coverage),
        "before": None if before is None else {"run": before.run, **_counts(before.coverage)},
    }


def _counts(coverage: Coverage) -> dict[str, Any]:
    return {
        "covered": coverage.covered,
        "lines": coverage.lines,
        "percent": coverage.percent,
    }


def services_view(row: AttemptRow) -> list[dict[str, Any]]:
    """What ran beside the job, each with the id of its log."""
    told = msgspec.json.decode(row.services_json, type=list[ServiceReport])
    return [
        {
            "name": one.name,
            "state": one.state,
            "message": one.message,
            "image": one.image,
            "seconds": one.seconds,
            "log_bytes": one.log_bytes,
            "log": log_of_service(row.job, one.name),
        }
        for one in told
    ]


def _waited(row: AttemptRow) -> float | None:
    """For how long it was in the queue; None: it still is, or never began."""
    if row.started_at is None or not row.queued_at:
        return None
    return max(0.0, row.started_at - row.queued_at)


def detail_view(
    detail: RunDetail, url: str, pools: Pools | None, terminals: Terminals
) -> dict[str, Any]:
    """One Run with its Steps, Attempts, Turns, inputs and the restarts that it lived through."""
    return {
        **run_view(detail.run, url),
        "waiting": with_standbys(detail.run.id, waiting(detail, pools), terminals),
        "shells": shells(detail.attempts, terminals),
        "steps": [step_view(step) for step in detail.steps],
        "attempts": [attempt_view(attempt, detail.earlier) for attempt in detail.attempts],
        "history": [_turn_columns(turn) for turn in detail.turns],
        "inputs": [_input_columns(given) for given in detail.inputs],
        "restarts": [start_view(start) for start in detail.restarts],
        "reruns": [
            {"run": other.id, "attempt": other.attempt, "state": other.state}
            for other in detail.reruns
        ],
        "forks": [{"run": other.id, "state": other.state} for other in detail.forks],
    }


def delivery_view(row: DeliveryRow) -> dict[str, Any]:
    """One Delivery."""
    view = _delivery_columns(row)
    view["runs"] = _json(row.runs_json)
    return view


def repo_view(repo: Repo, url: str, why_not: NotCompared | None) -> dict[str, Any]:
    """One Repo, with the URL that its forge's webhook calls, and why its refs are not compared."""
    return {
        **msgspec.to_builtins(repo),
        "webhook": f"{url}{hook_path(repo.connection, repo.external_id)}",
        "not_compared": why_not
        and {"reason": why_not.reason, "since": why_not.since, "pulls": why_not.pulls},
    }


def connection_view(connection: Connection, url: str) -> dict[str, Any]:
    """One Connection without its secrets."""
    return {
        "id": connection.id,
        "kind": connection.kind,
        "api_url": connection.api_url,
        "webhook": f"{url}{hook_path(connection.id)}",
        "secrets": len(connection.secrets),
        "has_token": bool(connection.token),
        "app": connection.app,
        "login": bool(connection.oauth_client_id and connection.oauth_client_secret),
    }


def _note(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    note = msgspec.json.decode(text, type=Note)
    return {"text": note.text, "done": note.done, "total": note.total, "words": note.words()}


def _json(text: str | None) -> Any:  # noqa: ANN401 whatever was stored
    return None if text is None else msgspec.json.decode(text)
