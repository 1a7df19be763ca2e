"""StrictBitbucket and StrictDataCenter: both build status APIs in memory, with limits and errors.

Their Code Insights are in `strict_insights`.

`MockTransport` handlers: no port, no clock. They are strict where the real ones are, so that a
client which breaks a limit is told so here.
"""

import json
import re
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import httpx2

from tests.contract.strict_insights import StrictInsights

CLOUD = re.compile(
    r"/2\.0/repositories/([\w.-]+)/(\{[0-9a-f-]{36}\}|[\w.-]+)/commit/([0-9a-f]{40})/statuses/build"
)
BUILDS = re.compile(
    r"/rest/api/latest/projects/(~?[\w.-]+)/repos/([\w.-]+)/commits/([0-9a-f]{40})/builds"
)
CHANGES = re.compile(
    r"/rest/api/latest/projects/(~?[\w.-]+)/repos/([\w.-]+)/pull-requests/(\d+)/changes"
)
REPORT = r"commits?/[0-9a-f]{40}/reports/([\w.-]+)"
CLOUD_REPORT = re.compile(
    rf"/2\.0/repositories/[\w.-]+/(\{{[0-9a-f-]{{36}}\}})/{REPORT}(/annotations)?"
)
SERVER_REPORT = re.compile(
    rf"/rest/insights/latest/projects/~?[\w.-]+/repos/[\w.-]+/{REPORT}(/annotations)?"
)
OLDER = re.compile(r"/rest/build-status/1\.0/commits/([0-9a-f]{40})")
STATES = {"INPROGRESS", "SUCCESSFUL", "FAILED"}
KEY_CHARS_MAX, TEXT_CHARS_MAX = 40, 255


class StrictBitbucket:
    """Bitbucket Cloud. `builds` has the newest of each (repository, commit, key)."""

    def __init__(self, authorization: str, repositories: set[str]) -> None:
        self._authorization, self._repositories = authorization, repositories
        self.insights = StrictInsights(is_cloud=True)
        self.builds: dict[tuple[str, str, str], dict[str, str]] = {}
        self.answers: list[httpx2.Response] = []
        self.codes: list[int] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer as told, or else as Bitbucket Cloud does."""
        answer = self.answers.pop(0) if self.answers else self._take(request)
        self.codes.append(answer.status_code)
        return answer

    def _take(self, request: httpx2.Request) -> httpx2.Response:
        if request.headers.get("authorization") != self._authorization:
            return _cloud(401, "Token is invalid, expired, or not supported for this endpoint.")
        path = unquote(request.url.path)
        if (report := CLOUD_REPORT.fullmatch(path)) and report[1] in self._repositories:
            code, words = self.insights.answer(request, report[2], is_list=report[3] is not None)
            return httpx2.Response(code) if not words else _cloud(code, words)
        found = CLOUD.fullmatch(path)
        if request.method != "POST" or found is None or found[2] not in self._repositories:
            return _cloud(404, "You may not have access to this repository or it no longer exists")
        body = json.loads(request.content)
        for field, chars_max in (("key", KEY_CHARS_MAX), ("name", TEXT_CHARS_MAX)):
            if (chars := len(body.get(field, ""))) > chars_max:
                words = f"Ensure this value has at most {chars_max} characters (it has {chars})."
                return _cloud(400, f"{field}: {words}", {field: [words]})
        if body.get("state") not in STATES | {"STOPPED"}:
            return _cloud(400, "Bad request", {"state": ["Value is not a valid choice."]})
        host = urlsplit(body.get("url", "")).hostname or ""
        if "." not in host:
            # Its words in either case: no link, and one to a name that is not of the internet.
            return _cloud(400, "url: Enter a valid URL.", {"url": ["Enter a valid URL."]})
        place = (found[2], found[3], body["key"])
        is_new = place not in self.builds
        self.builds[place] = body
        return httpx2.Response(201 if is_new else 200, json=body)


class StrictDataCenter:
    """A server of Bitbucket Data Center; `is_older`: before 7.4, when it had no builds yet.

    `told` has what else it answers, by path. `look` is called with the number of a pull request
    whose changes are asked for: only then does the server make its ref.
    """

    def __init__(self, token: str, repositories: set[str], *, is_older: bool = False) -> None:
        self._token, self._repositories, self._is_older = token, repositories, is_older
        self.builds: dict[tuple[str, str], dict[str, str]] = {}
        self.insights = StrictInsights(is_cloud=False)
        self.told: dict[str, object] = {}
        self.look: Callable[[int], object] = lambda number: None
        self.answers: list[httpx2.Response] = []
        self.paths: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer as told, or else as Data Center does."""
        self.paths.append(request.url.path)
        return self.answers.pop(0) if self.answers else self._take(request)

    def _take(self, request: httpx2.Request) -> httpx2.Response:
        if request.headers.get("authorization") != f"Bearer {self._token}":
            name = "com.atlassian.bitbucket.AuthorisationException"
            return _server(401, "You are not permitted to access this resource", name)
        if request.method == "GET" and (changes := CHANGES.fullmatch(request.url.path)):
            self.look(int(changes[3]))
            return httpx2.Response(200, json={"values": [], "isLastPage": True})
        if request.method == "GET" and request.url.path in self.told:
            return httpx2.Response(200, json=self.told[request.url.path])
        if (report := SERVER_REPORT.fullmatch(request.url.path)) and not self._is_older:
            code, words = self.insights.answer(request, report[1], is_list=report[2] is not None)
            return httpx2.Response(code) if not words else _server(code, words, "com.atlassian.X")
        older = OLDER.fullmatch(request.url.path)
        builds = None if self._is_older else BUILDS.fullmatch(request.url.path)
        if request.method != "POST" or (older is None and builds is None):
            words = f"null for uri: {request.url}"
            return httpx2.Response(404, json={"status-code": 404, "message": words})
        if builds is not None and f"{builds[1]}/{builds[2]}" not in self._repositories:
            name = "com.atlassian.bitbucket.repository.NoSuchRepositoryException"
            return _server(404, f"Repository {builds[1]}/{builds[2]} does not exist.", name)
        body = json.loads(request.content)
        words = self._wrong(body, is_older=older is not None)
        if words:
            return _server(400, words, "com.atlassian.bitbucket.validation.ArgumentValidation")
        commit = older[1] if older is not None else builds[3] if builds is not None else ""
        self.builds[commit, body["key"]] = body
        return httpx2.Response(204)

    def _wrong(self, body: dict[str, str], *, is_older: bool) -> str:
        for field in ("key", "url", "state"):
            if not body.get(field):
                return f"{field} is required"
        for field in ("key", "name", "description"):
            if len(body.get(field, "")) > TEXT_CHARS_MAX:
                return f"{field} must be at most {TEXT_CHARS_MAX} characters"
        known = STATES if is_older else STATES | {"CANCELLED", "UNKNOWN"}
        if body["state"] not in known:
            return f"{body['state']} is no build state"
        return "no such field: parent" if is_older and "parent" in body else ""


def _cloud(code: int, message: str, fields: dict[str, list[str]] | None = None) -> httpx2.Response:
    error = {"message": message, **({"fields": fields} if fields else {})}
    return httpx2.Response(code, json={"type": "error", "error": error})


def _server(code: int, message: str, exception: str) -> httpx2.Response:
    error = {"context": None, "message": message, "exceptionName": exception}
    return httpx2.Response(code, json={"errors": [error]})
