"""A Status as a report of Bitbucket Cloud's Code Insights, with annotations. Pure."""

from typing import Any

from pipelines.job import Annotation
from pipelines.status import Status, cut, shorten
from webhooks.code_insights import (
    DETAILS_CHARS_MAX,
    SEVERITIES,
    TITLE_CHARS_MAX,
    details_of,
    is_passed,
    key_of,
    placed,
)


def report_of(status: Status) -> dict[str, Any]:
    """All of it but the annotations."""
    return {
        "title": shorten(status.context, TITLE_CHARS_MAX),
        "details": details_of(status),
        "external_id": key_of(status),
        "reporter": "Staunch",
        "link": status.target_url,
        "report_type": "TEST",
        "result": "PASSED" if is_passed(status) else "FAILED",
    }


def annotations_of(status: Status) -> list[dict[str, Any]]:
    """Those that have a place in the repository."""
    key = key_of(status)
    return [_annotation(f"{key}-{number}", one) for number, one in enumerate(placed(status))]


def _annotation(external_id: str, one: Annotation) -> dict[str, Any]:
    return {
        "external_id": external_id,
        "annotation_type": "BUG" if one.level == "error" else "CODE_SMELL",
        "severity": SEVERITIES.get(one.level, "MEDIUM"),
        "path": one.file,
        "line": max(1, one.line),
        "summary": shorten(one.title or one.message, TITLE_CHARS_MAX),
        "details": cut(one.message, DETAILS_CHARS_MAX, "…"),
    }
