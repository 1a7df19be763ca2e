"""StrictGitHub: GitHub's Apps and Checks in memory, with their limits, tokens and their ages.

A `MockTransport` handler: no port; its clock is the test's. It is strict where GitHub is, and
refuses besides what GitHub does not know, so that a client which breaks a limit is told so here.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from tests.published.checked import assert_published

JWT_S_MAX = 600
TOKEN_S = 3_600
PER_PAGE_MAX = 100
RUNS_MAX = 1_000
REPO = r"/repos/(?P<repo>[\w.-]+/[\w.-]+)"
ANSWERS: dict[str, str] = {
    rf"GET {REPO}/installation": "installed",
    r"POST /app/installations/(?P<id>\d+)/access_tokens": "grant",
    rf"POST {REPO}/check-runs": "create",
    rf"PATCH {REPO}/check-runs/(?P<id>\d+)": "update",
    rf"GET {REPO}/commits/(?P<sha>[0-9a-f]{{40}})/check-runs": "listed",
    rf"GET {REPO}/check-suites/(?P<id>\d+)/check-runs": "listed",
    rf"GET {REPO}/collaborators/(?P<login>[\w-]+)/permission": "permission",
}
STATES = {"queued", "in_progress", "completed"}
CONCLUSIONS = {"action_required", "cancelled", "failure", "neutral", "success", "skipped",
               "timed_out"}  # fmt: skip
# The longest text, or what the value must match.
CHECK = {"name", "head_sha", "details_url", "external_id", "status", "conclusion", "started_at",
         "completed_at", "output", "actions"}  # fmt: skip
OUTPUT = {"title": 255, "summary": 65_535, "text": 65_535, "annotations": None, "images": None}
ANNOTATION = {"path": 4_096, "start_line": None, "end_line": None, "start_column": None,
              "end_column": None, "annotation_level": 10, "message": 65_536, "title": 255,
              "raw_details": 65_536}  # fmt: skip
ACTION = {"label": 20, "description": 40, "identifier": 20}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Wrong(Exception):
    """What is answered with 422."""


@dataclass
class CheckRun:
    """One, as GitHub keeps it."""

    id: int
    repo: str
    fields: dict[str, Any]
    annotations: list[dict[str, Any]] = field(default_factory=list)

    def shown(self, app: str) -> dict[str, Any]:
        output = {**self.fields.get("output", {}), "annotations_count": len(self.annotations)}
        return {"id": self.id, **self.fields, "output": output, "app": {"id": int(app)}}


@dataclass
class Granted:
    """A token: what it opens, and until when."""

    repos: list[str]
    permissions: dict[str, str]
    expires_at: float


class StrictGitHub:
    """`installed` has the number of the App's installation on each repository; `writers` may write
    to it.

    `answers` go before what it would say; an entry may also be a function of the request, whose
    answer None is its own. `calls` has method and path of everything that came. What GitHub's own
    document does not describe fails the test, whatever was told.
    """

    def __init__(self, app: str, public_key: str, now: Callable[[], float]) -> None:
        self.app, self._key, self._now = app, RSAKey.import_key(public_key), now
        self.installed: dict[str, int] = {"waterways/lock": 7}
        self.permissions = {
            "checks": "write",
            "contents": "read",
            "metadata": "read",
            "pull_requests": "read",
        }
        self.writers: set[str] = set()
        self.tokens: dict[str, Granted] = {}
        self.runs: dict[int, CheckRun] = {}
        self.others: list[dict[str, Any]] = []
        self.answers: list[httpx2.Response | Callable[[httpx2.Request], httpx2.Response | None]]
        self.answers = []
        self.calls: list[str] = []
        self.codes: list[int] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer as told, or else as GitHub does."""
        self.calls.append(f"{request.method} {request.url.path}")
        assert_published(request)
        told = self.answers.pop(0) if self.answers else None
        answer = told if isinstance(told, httpx2.Response) or told is None else told(request)
        answer = answer or self.answer(request)
        self.codes.append(answer.status_code)
        return answer

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """What GitHub says of itself."""
        asked = f"{request.method} {request.url.path}"
        for pattern, name in ANSWERS.items():
            if found := re.fullmatch(pattern, asked):
                body = json.loads(request.content) if request.content else {}
                try:
                    return getattr(self, f"_{name}")(request, body, found.groupdict())
                except Wrong as wrong:
                    return _said(422, f"Invalid request. {wrong}")
        return _said(404, "Not Found")

    def named(self, name: str) -> list[CheckRun]:
        """The check runs of this name, in the order in which they were made."""
        return [run for run in self.runs.values() if run.fields["name"] == name]

    def _installed(self, request: httpx2.Request, _body: Any, at: dict[str, str]) -> Any:
        if (refused := self._not_the_app(request)) is not None:
            return refused
        number = self.installed.get(at["repo"])
        return (
            _said(404, "Not Found") if number is None else httpx2.Response(200, json={"id": number})
        )

    def _grant(self, request: httpx2.Request, body: Any, at: dict[str, str]) -> Any:
        if (refused := self._not_the_app(request)) is not None:
            return refused
        repos = [name for name, number in self.installed.items() if number == int(at["id"])]
        if not repos:
            return _said(404, "Not Found")
        wanted = body.get("repositories", [])
        if missing := [n for n in wanted if n not in [repo.partition("/")[2] for repo in repos]]:
            raise Wrong(f"There is at least one repository that does not exist: {missing}")
        asked = body.get("permissions", self.permissions)
        if any(self.permissions.get(what) not in (how, "write") for what, how in asked.items()):
            raise Wrong("The permissions requested are not granted to this installation.")
        expires = self._now() + TOKEN_S
        # Longer than any that there was before April 2026.
        token = f"ghs_{self.app}_{'x' * 600}{len(self.tokens)}"
        opened = [repo for repo in repos if repo.partition("/")[2] in wanted or not wanted]
        self.tokens[token] = Granted(opened, asked, expires)
        until = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return httpx2.Response(201, json={"token": token, "expires_at": until})

    def _not_the_app(self, request: httpx2.Request) -> httpx2.Response | None:
        try:
            proof = jwt.decode(_bearer(request), self._key, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return _said(401, "A JSON web token could not be decoded")
        now = self._now()
        if proof["iat"] > now or not now < proof["exp"] <= now + JWT_S_MAX:
            return _said(
                401, "'Expiration time' claim ('exp') must be a numeric value in the future"
            )
        return None if proof["iss"] == self.app else _said(404, "Integration not found")

    def _not_let_in(self, request: httpx2.Request, repo: str) -> httpx2.Response | None:
        granted = self.tokens.get(_bearer(request))
        if granted is None or granted.expires_at <= self._now():
            return _said(401, "Bad credentials")
        if repo not in granted.repos:
            return _said(404, "Not Found")
        if granted.permissions.get("checks") != "write":
            return _said(403, "Resource not accessible by integration")
        return None

    def _permission(self, request: httpx2.Request, _body: Any, at: dict[str, str]) -> Any:
        granted = self.tokens.get(_bearer(request))
        if granted is None or "metadata" not in granted.permissions:
            return _said(403, "Resource not accessible by integration")
        may = "write" if at["login"] in self.writers else "read"
        return httpx2.Response(200, json={"permission": may})

    def _create(self, request: httpx2.Request, body: Any, at: dict[str, str]) -> Any:
        if (refused := self._not_let_in(request, at["repo"])) is not None:
            return refused
        if not body.get("name") or not re.fullmatch("[0-9a-f]{40}", body.get("head_sha", "")):
            raise Wrong("name and head_sha are required")
        _check(body)
        if "output" in body and not body["output"].get("title"):
            raise Wrong("output needs a title")
        run = CheckRun(1_000 + len(self.runs), at["repo"], {"status": "queued"})
        if len(self.named(body["name"])) >= RUNS_MAX:
            raise Wrong("too many check runs of this name")
        self.runs[run.id] = run
        self._take(run, body)
        return httpx2.Response(201, json=run.shown(self.app))

    def _update(self, request: httpx2.Request, body: Any, at: dict[str, str]) -> Any:
        if (refused := self._not_let_in(request, at["repo"])) is not None:
            return refused
        run = self.runs.get(int(at["id"]))
        if run is None or run.repo != at["repo"]:
            return _said(404, "Not Found")
        if "head_sha" in body:
            raise Wrong("head_sha is not a permitted key.")
        _check(body)
        self._take(run, body)
        return httpx2.Response(200, json=run.shown(self.app))

    def _take(self, run: CheckRun, body: dict[str, Any]) -> None:
        body = dict(body)
        output = dict(body.pop("output", run.fields.get("output", {})))
        # Each request adds its own; everything else is replaced.
        run.annotations += output.pop("annotations", [])
        if "conclusion" in body:
            body["status"] = "completed"
        elif body.get("status") in ("queued", "in_progress"):
            run.fields.pop("conclusion", None)
        run.fields.update(body, **({"output": output} if output else {}))

    def _listed(self, request: httpx2.Request, _body: Any, at: dict[str, str]) -> Any:
        if (refused := self._not_let_in(request, at["repo"])) is not None:
            return refused
        asked = dict(request.url.params)
        size, page = int(asked.get("per_page", 30)), int(asked.get("page", 1))
        if size > PER_PAGE_MAX:
            raise Wrong("per_page is too large")
        ours = [run.shown(self.app) for run in self.runs.values() if run.repo == at["repo"]]
        found = [
            run
            for run in [*self.others, *reversed(ours)]
            if run["name"] == asked.get("check_name", run["name"])
            and run["head_sha"] == at.get("sha", run["head_sha"])
        ]
        if asked.get("filter", "latest") == "latest":
            found = list({(run["name"], run["app"]["id"]): run for run in reversed(found)}.values())
        part = found[(page - 1) * size : page * size]
        return httpx2.Response(200, json={"total_count": len(found), "check_runs": part})


def _check(body: dict[str, Any]) -> None:
    if unknown := set(body) - CHECK:
        raise Wrong(f"{unknown} are not permitted keys")
    _check_state(body.get("status"), body.get("conclusion"))
    for name in ("started_at", "completed_at"):
        if name in body and not TIME.fullmatch(body[name]):
            raise Wrong(f"{name} {body[name]!r} is no time in UTC")
    if "details_url" in body and not body["details_url"].startswith(("http://", "https://")):
        raise Wrong("details_url must have the scheme http or https")
    for action in body.get("actions", []):
        _fits(action, ACTION, required=ACTION)
    if len(body.get("actions", [])) > 3:
        raise Wrong("there are at most three actions")
    if "output" in body:
        _check_output(body["output"])


def _check_state(status: str | None, conclusion: str | None) -> None:
    if status is not None and status not in STATES:
        raise Wrong(f"status {status!r} is none")
    is_over = status in (None, "completed")
    if conclusion is not None and (conclusion not in CONCLUSIONS or not is_over):
        raise Wrong(f"conclusion {conclusion!r} with status {status!r}")
    if status == "completed" and conclusion is None:
        raise Wrong("conclusion is required where status is completed")


def _check_output(output: dict[str, Any]) -> None:
    _fits(output, OUTPUT, required=("summary",))
    annotations = output.get("annotations", [])
    if len(annotations) > 50:
        raise Wrong(f"{len(annotations)} annotations; 50 are allowed")
    for one in annotations:
        _fits(one, ANNOTATION, required=("path", "start_line", "end_line", "message"))
        if one.get("annotation_level") not in ("notice", "warning", "failure"):
            raise Wrong("annotation_level is none")
        if not 1 <= one["start_line"] <= one["end_line"]:
            raise Wrong("lines begin with one, and end where they begin, or later")
        if one["path"].startswith("/"):
            raise Wrong("path is not in the repository")


def _fits(value: dict[str, Any], longest: dict[str, Any], required: Any) -> None:
    if unknown := set(value) - set(longest):
        raise Wrong(f"{unknown} are not permitted keys")
    for name, most in longest.items():
        if name in required and not value.get(name):
            raise Wrong(f"{name} is missing")
        said = str(value.get(name, ""))
        # Of what is long it counts the bytes.
        size = len(said) if most is not None and most <= 255 else len(said.encode())
        if most is not None and size > most:
            raise Wrong(f"{name} is too long (maximum is {most})")


def _bearer(request: httpx2.Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def _said(code: int, message: str) -> httpx2.Response:
    return httpx2.Response(code, json={"message": message})
