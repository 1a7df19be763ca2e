"""StrictInsights: Code Insights of either Bitbucket in memory, with the limits of each.

A report is by its key; its annotations by their external id, which must not be there already.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx2

ANNOTATIONS_MAX, REQUEST_MAX = 1_000, 100
SEVERITIES = {"LOW", "MEDIUM", "HIGH"}
CLOUD_MAX = {"title": 450, "details": 2_000, "summary": 450, "external_id": 450, "reporter": 450}
SERVER_MAX = {"title": 450, "details": 2_000, "message": 2_000, "externalId": 450, "reporter": 450}


@dataclass
class Report:
    """One that is there."""

    body: dict[str, Any]
    annotations: dict[str, dict[str, Any]] = field(default_factory=dict)


class StrictInsights:
    """`reports` by key."""

    def __init__(self, *, is_cloud: bool) -> None:
        self._is_cloud, self._max = is_cloud, CLOUD_MAX if is_cloud else SERVER_MAX
        self.reports: dict[str, Report] = {}
        self.calls: list[str] = []

    def answer(self, request: httpx2.Request, key: str, *, is_list: bool) -> tuple[int, str]:
        """The code, and what is wrong."""
        self.calls.append(f"{request.method}{' annotations' if is_list else ''}")
        match request.method, is_list:
            case "DELETE", False:
                return (204, "") if self.reports.pop(key, None) else (404, "there is no report")
            case "PUT", False:
                return self._put(key, json.loads(request.content))
            case "POST", True if key in self.reports:
                return self._add(self.reports[key], json.loads(request.content))
        return 404, "there is no report"

    def _put(self, key: str, body: dict[str, Any]) -> tuple[int, str]:
        results = {"PASSED", "FAILED", "PENDING"} if self._is_cloud else {"PASS", "FAIL"}
        if len(key) > self._max["title"] or body["result"] not in results:
            return 400, f"{body['result']} is no result"
        if self._is_cloud and body["report_type"] not in {"SECURITY", "COVERAGE", "TEST", "BUG"}:
            return 400, "report_type is not valid"
        there = self.reports.get(key)
        # Nobody documents that the annotations of the one before go with it.
        self.reports[key] = Report(body, there.annotations if there else {})
        return self._judge(body) or (200, "")

    def _add(self, report: Report, body: Any) -> tuple[int, str]:
        notes = body if self._is_cloud else body.get("annotations", [])
        if not isinstance(notes, list) or not 0 < len(notes) <= REQUEST_MAX:
            return 400, f"between 1 and {REQUEST_MAX} annotations"
        for note in notes:
            identity = note["external_id" if self._is_cloud else "externalId"]
            kinds = {"BUG", "CODE_SMELL", "VULNERABILITY"}
            kind = note["annotation_type" if self._is_cloud else "type"]
            if identity in report.annotations or kind not in kinds:
                return 409, f"{identity} is there, or {kind} is no type"
            if note["severity"] not in SEVERITIES or note["line"] < 0 or "/" in note["path"][:1]:
                return 400, "severity, line or path is not valid"
            if wrong := self._judge(note):
                return wrong
            report.annotations[identity] = note
        if len(report.annotations) > ANNOTATIONS_MAX:
            return 400, f"more than {ANNOTATIONS_MAX} annotations"
        return 200, ""

    def _judge(self, body: dict[str, Any]) -> tuple[int, str] | None:
        for name, chars_max in self._max.items():
            if len(body.get(name, "")) > chars_max:
                return 400, f"{name} has more than {chars_max} characters"
        return None
