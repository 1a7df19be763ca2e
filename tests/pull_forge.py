"""PullForge: GitHub's API on loopback, as far as pull requests, comments and statuses go.

`pulls` is what it says of each; `permissions` what somebody may do; `told` grows as statuses come,
`comments` has what we wrote under each, and `thumbs` on what we reacted.
Strict where GitHub is: a call without the token learns nothing, what is not there is a 404, and one
that GitHub's own document does not describe fails the test at the end of `with`.
"""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.published.api import wrong_at_github

TOKEN = "of-the-connection"
REPO = "acme/shop"
REPO_ID = 186853002
STATUS = re.compile(rf"/repos/{REPO}/statuses/([0-9a-f]{{40}})")
PULL = re.compile(rf"/repos/{REPO}/pulls/(\d+)")
OPEN = re.compile(rf"/repos/{REPO}/pulls\?state=open&[^#]*")
PERMISSION = re.compile(rf"/repos/{REPO}/collaborators/([^/]+)/permission")
COMMENTS = re.compile(rf"/repos/{REPO}/issues/(\d+)/comments(?:\?.*)?")
COMMENT = re.compile(rf"/repos/{REPO}/issues/comments/(\d+)")
REACTIONS = re.compile(rf"/repos/{REPO}/issues/comments/(\d+)/reactions")
ME = 40


class PullForge:
    """Start it with `with`."""

    def __init__(self) -> None:
        self.pulls: dict[int, dict[str, Any]] = {}
        self.permissions: dict[str, str] = {}
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.thumbs: set[int] = set()
        self.is_away = False
        self.asked: list[str] = []
        self.unchanged = 0
        self.wrong: list[str] = []
        forge = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                forge.wrong += wrong_at_github("GET", self.path, b"")
                status, answer = forge._read(self.path, self.headers.get("Authorization", ""))
                etag = f'"{hashlib.sha256(json.dumps(answer).encode()).hexdigest()}"'
                if status == 200 and self.headers.get("If-None-Match") == etag:
                    forge.unchanged += 1
                    self.send_response(304)
                    self.end_headers()
                    return
                self._answer(status, answer, etag)

            def do_PATCH(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                given = self.headers.get("Authorization", "")
                forge.wrong += wrong_at_github(self.command, self.path, body)
                self._answer(*forge._take(self.path, given, json.loads(body)))

            def _answer(self, status: int, answer: object, etag: str = "") -> None:
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if etag:
                    self.send_header("ETag", etag)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def open(
        self, number: int, head: str, *, login: str, head_repo: int | None, **more: Any
    ) -> None:
        """A pull request, as the API says it is now."""
        self.pulls[number] = {
            "number": number,
            "state": "open",
            "user": {"login": login},
            "author_association": more.get("association", "NONE"),
            "head": {"ref": "change", "sha": head, "repo": head_repo and {"id": head_repo}},
            "base": {"ref": "main", "sha": "0" * 40, "repo": {"id": REPO_ID}},
        }

    def statuses(self, commit: str, context: str) -> list[str]:
        """The states that were told of a commit under one name, in order."""
        return [
            body["state"]
            for about, body in list(self.told)
            if about == commit and body["context"] == context
        ]

    def _read(self, path: str, given: str) -> tuple[int, object]:
        self.asked.append(path)
        if self.is_away:
            return 502, {"message": "Server Error"}
        if given != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials"}
        if found := PULL.fullmatch(path):
            pull = self.pulls.get(int(found[1]))
            return (404, {"message": "Not Found"}) if pull is None else (200, pull)
        if OPEN.fullmatch(path):
            return 200, [one for one in self.pulls.values() if one["state"] == "open"]
        if path == f"/repos/{REPO}":
            return 200, {"id": REPO_ID, "full_name": REPO}
        if path == "/user":
            return 200, {"id": ME}
        if found := COMMENTS.fullmatch(path):
            return 200, self.comments.get(int(found[1]), [])
        if found := PERMISSION.fullmatch(path):
            return 200, {"permission": self.permissions.get(found[1], "read")}
        return 404, {"message": "Not Found"}

    def _take(self, path: str, given: str, body: dict[str, Any]) -> tuple[int, object]:
        found = STATUS.fullmatch(path)
        if given != f"Bearer {TOKEN}":
            return 404, {"message": "Not Found"}
        if found is None:
            return self._commented(path, body)
        if len(body.get("description", "")) > 140:
            return 422, {"message": "Validation Failed"}
        self.told.append((found[1], body))
        return 201, body

    def _commented(self, path: str, body: dict[str, Any]) -> tuple[int, object]:
        if found := REACTIONS.fullmatch(path):
            self.thumbs.add(int(found[1]))
            return 201, body
        if found := COMMENTS.fullmatch(path):
            count = sum(len(those) for those in self.comments.values())
            made = {"id": 500 + count, "body": body["body"], "user": {"id": ME}}
            self.comments.setdefault(int(found[1]), []).append(made)
            return 201, made
        known = {one["id"]: one for those in self.comments.values() for one in those}
        found = COMMENT.fullmatch(path)
        if found is None or int(found[1]) not in known:
            return 404, {"message": "Not Found"}
        known[int(found[1])]["body"] = body["body"]
        return 200, known[int(found[1])]

    def said(self, number: int, kind: str) -> list[str]:
        """What we said under a pull request: in its `report`, or as an `answer`."""
        those = [one["body"] for one in list(self.comments.get(number, []))]
        return [body for body in those if body.startswith(f"<!-- staunch {kind} ")]

    def __enter__(self) -> "PullForge":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        assert not self.wrong, self.wrong
