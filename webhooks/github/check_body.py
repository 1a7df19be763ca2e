"""A Status as the body of a check run: the words, the limits and the buttons. Pure.

Every Standing is something final but `queued` and `running`: GitHub calls what is unfinished for 14
days stale, and people take longer for a gate. Source: GitHub's REST API, "Check runs".
"""

import re
from datetime import UTC, datetime
from typing import Any

from pipelines.job import Annotation
from pipelines.status import (
    GATE_MARK_CHARS,
    SUMMARY_BYTES_MAX,
    Standing,
    Status,
    cut,
    shorten,
)

ANNOTATIONS_REQUEST_MAX = 50
NAME_CHARS_MAX = 255
TITLE_CHARS_MAX = 140
PATH_CHARS_MAX = 1_000
MESSAGE_BYTES_MAX = 65_536
NOTE_TITLE_CHARS_MAX = 255

RERUN = "rerun"
RERUN_FAILED = "rerun-failed"
APPROVE, REJECT = "approve-", "reject-"

# (status, conclusion). A required check is passed by success, neutral and skipped.
CHECKS: dict[Standing, tuple[str, str | None]] = {
    Standing.QUEUED: ("queued", None),
    Standing.RUNNING: ("in_progress", None),
    Standing.WAITING: ("completed", "action_required"),
    Standing.SUCCEEDED: ("completed", "success"),
    Standing.FAILED: ("completed", "failure"),
    Standing.ERRORED: ("completed", "failure"),
    Standing.CANCELLED: ("completed", "cancelled"),
    Standing.TIMED_OUT: ("completed", "timed_out"),
    Standing.SKIPPED: ("completed", "skipped"),
}
LEVELS = {"error": "failure", "warning": "warning", "notice": "notice"}

# At most three; label 20 characters, description 40, identifier 20.
AGAIN = {
    "label": "Re-run",
    "description": "Begin another attempt of this run",
    "identifier": RERUN,
}
FAILED_AGAIN = {
    "label": "Re-run failed steps",
    "description": "Another attempt that keeps what is done",
    "identifier": RERUN_FAILED,
}
APPROVE_GATE = {"label": "Approve", "description": "Open this gate: the run goes on"}
REJECT_GATE = {"label": "Reject", "description": "Close this gate: its step fails"}
_GATE = re.compile(rf"({APPROVE}|{REJECT})([0-9a-f]{{{GATE_MARK_CHARS}}})")
_WITH_FAILED = {Standing.FAILED, Standing.CANCELLED, Standing.TIMED_OUT}


def name_of(status: Status) -> str:
    """The check's name: the context."""
    return shorten(status.context, NAME_CHARS_MAX)


def external_id_of(status: Status) -> str:
    """By which the check is found again: the Run's id, or the Status's where there is no Run."""
    return status.run or status.id


def check_of(status: Status) -> dict[str, Any]:
    """All of it but the commit and the annotations."""
    state, conclusion = CHECKS[status.stands]
    title = shorten(status.description, TITLE_CHARS_MAX) or name_of(status)
    more = f"… and more: {status.target_url}"
    body: dict[str, Any] = {
        "name": name_of(status),
        "external_id": external_id_of(status),
        "status": state,
        "output": {
            "title": title,
            "summary": cut(status.summary, SUMMARY_BYTES_MAX, more).strip() or title,
        },
        "actions": _actions(status),
    }
    if status.target_url.startswith(("https://", "http://")):
        body["details_url"] = status.target_url
    if status.began_at:
        body["started_at"] = _moment(status.began_at)
    if conclusion is not None:
        body |= {"conclusion": conclusion, "completed_at": _moment(status.at)}
    return body


def annotations_of(status: Status) -> list[dict[str, Any]]:
    """Those that have a place in the repository, in the Status's order, which does not change."""
    return [_annotation(one) for one in status.annotations if _has_place(one)]


def pressed_gate(identifier: str) -> tuple[bool, str] | None:
    """Whether a button approves (or rejects), and the mark of its gate; None: it is no gate's."""
    found = _GATE.fullmatch(identifier)
    return None if found is None else (found[1] == APPROVE, found[2])


def _actions(status: Status) -> list[dict[str, str]]:
    if status.gate and status.stands is Standing.WAITING:
        return [
            {**APPROVE_GATE, "identifier": APPROVE + status.gate},
            {**REJECT_GATE, "identifier": REJECT + status.gate},
        ]
    if not status.is_last or not status.run:
        return []
    return [AGAIN, FAILED_AGAIN] if status.stands in _WITH_FAILED else [AGAIN]


def _has_place(one: Annotation) -> bool:
    parts = one.file.split("/")
    is_path = "" not in parts and ".." not in parts and len(one.file) <= PATH_CHARS_MAX
    return is_path and bool(one.message.strip())


def _annotation(one: Annotation) -> dict[str, Any]:
    line = max(1, one.line)
    said = {"title": shorten(one.title, NOTE_TITLE_CHARS_MAX)} if one.title else {}
    return {
        "path": one.file,
        "start_line": line,
        "end_line": line,
        "annotation_level": LEVELS.get(one.level, "warning"),
        "message": cut(one.message, MESSAGE_BYTES_MAX, "…"),
        **said,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
