"""A Status as a report of Bitbucket Data Center's Code Insights, with annotations. Pure."""

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
        "reporter": "Staunch",
        "link": status.target_url,
        "result": "PASS" if is_passed(status) else "FAIL",
    }


def annotations_of(status: Status) -> list[dict[str, Any]]:
    """Those that have a place in the repository."""
    key = key_of(status)
    return [_annotation(f"{key}-{number}", one) for number, one in enumerate(placed(status))]


def _annotation(external_id: str, one: Annotation) -> dict[str, Any]:
    said = f"{shorten(one.title, TITLE_CHARS_MAX)}: {one.message}" if one.title else one.message
    return {
        "externalId": external_id,
        "type": "BUG" if one.level == "error" else "CODE_SMELL",
        "severity": SEVERITIES.get(one.level, "MEDIUM"),
        "path": one.file,
        "line": max(1, one.line),
        "message": cut(said, DETAILS_CHARS_MAX, "…"),
    }
