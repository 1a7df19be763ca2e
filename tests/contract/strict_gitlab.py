"""StrictGitLab: GitLab's status API in memory, with its limits and its states that do not go back.

A `MockTransport` handler: no port, no clock. It is strict where GitLab is, so that a client which
breaks a limit is told so here.
"""

import json
import re
from collections import defaultdict

import httpx2

PATH = re.compile(r"/api/v4/projects/(\d+)/statuses/([0-9a-f]{40})")
CHARS_MAX = 255
# What each state is entered by, and from which states.
EVENTS = {
    "pending": ("enqueue", {"created"}),
    "running": ("run", {"created", "pending"}),
    "success": ("succeed", {"created", "pending", "running"}),
    "failed": ("drop", {"created", "pending", "running"}),
    "canceled": ("cancel", {"created", "pending", "running"}),
}
OPEN = {"created", "pending", "running"}


class StrictGitLab:
    """`states` has those of each (project, commit, name) in order; a new one after a final one."""

    def __init__(self, token: str, projects: set[str]) -> None:
        self._token, self._projects = token, projects
        self.states: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        self.answers: list[httpx2.Response] = []
        self.codes: list[int] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer as told, or else as GitLab does."""
        answer = self.answers.pop(0) if self.answers else self._take(request)
        self.codes.append(answer.status_code)
        return answer

    def _take(self, request: httpx2.Request) -> httpx2.Response:
        if request.headers.get("private-token") != self._token:
            return _said(401, "401 Unauthorized")
        found = PATH.fullmatch(request.url.path)
        if request.method != "POST" or found is None or found[1] not in self._projects:
            return _said(404, "404 Project Not Found")
        body = json.loads(request.content)
        for field in ("name", "description", "target_url"):
            if len(body.get(field, "")) > CHARS_MAX:
                return _said(400, {field: [f"is too long (maximum is {CHARS_MAX} characters)"]})
        if body.get("state") not in EVENTS:
            return _said(400, "state does not have a valid value")
        return self._enter(self.states[found[1], found[2], body["name"]], body["state"])

    def _enter(self, states: list[str], state: str) -> httpx2.Response:
        now = states[-1] if states and states[-1] in OPEN else "created"
        event, sources = EVENTS[state]
        if now not in sources:
            words = f'Status cannot transition via "{event}"'
            return _said(
                400, f"Cannot transition status via :{event} from :{now} (Reason(s): {words})"
            )
        states.append(state)
        return httpx2.Response(201, json={"status": state})


def _said(code: int, message: object) -> httpx2.Response:
    return httpx2.Response(code, json={"message": message})
