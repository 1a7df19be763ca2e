"""StrictComments: the comments of GitHub, Gitea and GitLab in memory, each in its own words.

A `MockTransport` handler: no port, no clock. One pull request, number 7, of repository 4711. It has
their limits, their pages and their refusals, so that a client which breaks one is told so here.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.contract.strict_github import StrictGitHub

REPO, PROJECT = "waterways/lock", "4711"
ME, OTHER = 40, 41
CHARS_MAX = {"github": 65_536, "gitea": 1_000_000, "gitlab": 1_000_000}
ISSUES = {
    r"GET /user": "me",
    r"GET /repos/[\w-]+/[\w-]+": "repository",
    rf"GET /repos/{REPO}/issues/7/comments": "listed",
    rf"POST /repos/{REPO}/issues/7/comments": "create",
    rf"PATCH /repos/{REPO}/issues/comments/(\d+)": "update",
    rf"POST /repos/{REPO}/issues/comments/(\d+)/reactions": "react",
}
NOTES = {
    r"GET /user": "me",
    rf"GET /projects/{PROJECT}/merge_requests/7/notes": "listed",
    rf"POST /projects/{PROJECT}/merge_requests/7/notes": "create",
    rf"PUT /projects/{PROJECT}/merge_requests/7/notes/(\d+)": "update",
    rf"POST /projects/{PROJECT}/merge_requests/7/notes/(\d+)/award_emoji": "react",
}
TOKENS = {
    "github": ("authorization", "Bearer t0ken"),
    "gitea": ("authorization", "token t0ken"),
    "gitlab": ("private-token", "t0ken"),
}
BASES = {
    "github": "",
    "gitea": "/api/v1",
    "gitlab": "/api/v4",
    "bitbucket": "/2.0",
    "bitbucket-dc": "/rest/api/latest",
}


@dataclass
class Said:
    """A comment as the forge keeps it."""

    id: int
    author: int
    body: str
    reactions: set[str] = field(default_factory=set)


Answer = httpx2.Response | Exception | Callable[[httpx2.Request], httpx2.Response | None] | None


class StrictComments:
    """`answers` go before what it would say; an error is one of the network. `is_locked`: nobody
    may write any more."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.comments: list[Said] = []
        self.answers: list[Answer] = []
        self.calls: list[str] = []
        self.is_locked = False
        # What the name of the repository leads to by now.
        self.repo = int(PROJECT)
        # Of a GitHub App: the number of it, and who knows its tokens.
        self.app = 0
        self.apps: StrictGitHub | None = None

    @property
    def repo_id(self) -> str:
        """What the repository is registered with."""
        return PROJECT

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer as told, or else as the forge does."""
        path = request.url.path.removeprefix(BASES[self.kind])
        self.calls.append(f"{request.method} {path}")
        told = self.answers.pop(0) if self.answers else None
        if isinstance(told, Exception):
            raise told
        answer = told if isinstance(told, httpx2.Response) or told is None else told(request)
        return answer or self.answer(request)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """What it says of itself."""
        header, token = TOKENS[self.kind]
        if self.apps is not None:
            if "/installation" in request.url.path:
                return self.apps.answer(request)
            granted = self.apps.tokens.get(request.headers[header].removeprefix("Bearer "))
            is_let_in = granted is not None and granted.permissions["pull_requests"] == "write"
            if not is_let_in or request.url.path == "/user":
                return _said(403, "Resource not accessible by integration")
        elif request.headers.get(header) != token:
            return _said(401, "Bad credentials")
        asked = f"{request.method} {request.url.path.removeprefix(BASES[self.kind])}"
        for pattern, name in (NOTES if self.kind == "gitlab" else ISSUES).items():
            if found := re.fullmatch(pattern, asked):
                body = json.loads(request.content) if request.content else {}
                return getattr(self, f"_{name}")(request, body, *found.groups())
        return _said(404, "Not Found")

    def say(self, body: str, author: int = OTHER) -> Said:
        """Somebody comments."""
        made = Said(100 + len(self.comments), author, body)
        self.comments.append(made)
        return made

    def ours(self) -> list[str]:
        """What our account has written."""
        return [one.body for one in self.comments if one.author == ME]

    def bodies(self) -> list[str]:
        """What everybody wrote."""
        return [one.body for one in self.comments]

    def writes(self) -> int:
        """How many requests wrote."""
        return sum(not call.startswith("GET") for call in self.calls)

    def _me(self, _request: httpx2.Request, _body: Any) -> httpx2.Response:
        return httpx2.Response(200, json={"id": ME, "login": "staunch", "username": "staunch"})

    def _repository(self, request: httpx2.Request, _body: Any) -> httpx2.Response:
        # The old name leads to what it is called today.
        return httpx2.Response(200, json={"id": self.repo, "full_name": REPO})

    def _listed(self, request: httpx2.Request, _body: Any) -> httpx2.Response:
        asked = dict(request.url.params)
        size, page = int(asked.get("per_page", 30)), int(asked.get("page", 1))
        found = [self._shown(one) for one in self.comments]
        if self.kind != "gitea":
            # Gitea has no pages here: it lists all, whichever is asked for.
            size = min(size, 100)
            found = found[(page - 1) * size : page * size]
        return httpx2.Response(200, json=found)

    def _create(self, _request: httpx2.Request, body: Any) -> httpx2.Response:
        return self._refusal(body) or httpx2.Response(201, json=self._shown(self._made(body)))

    def _made(self, body: Any) -> Said:
        return self.say(body["body"], ME)

    def _update(self, _request: httpx2.Request, body: Any, number: str) -> httpx2.Response:
        one = next((one for one in self.comments if one.id == int(number)), None)
        if one is None:
            return _said(404, "Not Found")
        assert one.author == ME, "another's comment is not ours to write"
        if (refusal := self._refusal(body)) is not None:
            return refusal
        one.body = body["body"]
        return httpx2.Response(200, json=self._shown(one))

    def _react(self, _request: httpx2.Request, body: Any, number: str) -> httpx2.Response:
        one = next((one for one in self.comments if one.id == int(number)), None)
        word = body.get("name" if self.kind == "gitlab" else "content")
        if one is None or word not in ({"thumbsup"} if self.kind == "gitlab" else {"+1"}):
            return _said(404 if one is None else 422, "Not Found")
        if word in one.reactions and self.kind == "gitlab":
            return _said(404, "404 Award Emoji Name has already been taken Not Found")
        code = 200 if word in one.reactions else 201
        one.reactions.add(word)
        return httpx2.Response(code, json={"id": 1, "content": word})

    def _refusal(self, body: Any) -> httpx2.Response | None:
        if self.is_locked:
            return _said(403, "Unable to create comment because issue is locked.")
        text = body.get("body", "")
        if not text.strip() or len(text) > CHARS_MAX[self.kind]:
            return _said(422, "Validation Failed: body is too long")
        return None

    def _shown(self, one: Said) -> dict[str, Any]:
        by = {"id": one.author}
        whose = {"author": by, "system": False} if self.kind == "gitlab" else {"user": by}
        by_app = self.app if one.author == ME else 0
        via = {"performed_via_github_app": {"id": by_app} if by_app else None}
        return {"id": one.id, "body": one.body, **whose, **via}


def _said(code: int, message: str) -> httpx2.Response:
    return httpx2.Response(code, json={"message": message})
