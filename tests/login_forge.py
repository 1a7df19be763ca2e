"""LoginForge: a forge's OAuth 2 provider and members, on loopback, as GitHub, Gitea or GitLab.

Strict where they are: a code is good once, for the redirect_uri and the challenge that it was given
for, to the client that knows its secret. `user` is who sits at the browser. What the API of
GitHub or Gitea is asked is compared with the forge's own document.
"""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.published.api import wrong_at_forgejo, wrong_at_github

TOKEN = "of-the-connection"
CLIENT, CLIENT_SECRET = "staunch-here", "client-secret"
PAGES = {
    "github": ("/login/oauth/authorize", "/login/oauth/access_token", ""),
    "gitea": ("/login/oauth/authorize", "/login/oauth/access_token", "/api/v1"),
    "gitlab": ("/oauth/authorize", "/oauth/token", "/api/v4"),
}
WRONG = {"github": wrong_at_github, "gitea": wrong_at_forgejo}
ACCESS = {"none": 0, "read": 20, "write": 30, "admin": 40}


class LoginForge:
    """Start it with `with`. `permissions`: by login, in the one repository that there is."""

    def __init__(self, kind: str, repo: str, repo_id: int, redirect_uri: str) -> None:
        self.kind, self.repo, self.repo_id, self.redirect_uri = kind, repo, repo_id, redirect_uri
        self.authorize, self.token, self.api = PAGES[kind]
        self.user = (11, "ada")
        self.permissions: dict[str, str] = {}
        self.ids: dict[str, int] = {"ada": 11, "bo": 12}
        self.is_away = False
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        self.wrong: list[str] = []
        forge = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == forge.authorize:
                    asked = {name: one[-1] for name, one in parse_qs(parts.query).items()}
                    status, location = forge.allow(asked)
                    self._answer(status, {}, location)
                    return
                if forge.kind in WRONG:
                    forge.wrong += WRONG[forge.kind]("GET", self.path, b"")
                self._answer(*forge.read(parts.path, dict(self.headers.items())))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self._answer(*forge.grant(self.path, json.loads(body)))

            def _answer(self, status: int, answer: object, location: str = "") -> None:
                content = json.dumps(answer).encode()
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def allow(self, asked: dict[str, str]) -> tuple[int, str]:
        """The page on which somebody agrees, and does."""
        is_ours = asked.get("client_id") == CLIENT and asked.get("response_type") == "code"
        if not is_ours or asked.get("redirect_uri") != self.redirect_uri:
            return 400, ""
        if asked.get("code_challenge_method") != "S256" or len(asked["code_challenge"]) != 43:
            return 400, ""
        code = f"code-{len(self.codes)}"
        identity, login = self.user
        self.codes[code] = {**asked, "id": str(identity), "login": login}
        query = urlencode({"code": code, "state": asked["state"]})
        return 302, f"{self.redirect_uri}?{query}"

    def grant(self, path: str, body: dict[str, str]) -> tuple[int, object]:
        """The token endpoint. GitHub tells of what is wrong with 200."""
        wrong = 200 if self.kind == "github" else 400
        if self.is_away or path != self.token:
            return (503 if self.is_away else 404), {"message": "no"}
        if (body.get("client_id"), body.get("client_secret")) != (CLIENT, CLIENT_SECRET):
            return wrong, {"error": "incorrect_client_credentials"}
        given = self.codes.pop(body.get("code", ""), None)
        if given is None:
            return wrong, {"error": "bad_verification_code"}
        digest = hashlib.sha256(body.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        is_same = body.get("redirect_uri") == given["redirect_uri"]
        if challenge != given["code_challenge"] or not is_same:
            return wrong, {"error": "invalid_grant"}
        token = f"access-{len(self.tokens)}"
        self.tokens[token] = (int(given["id"]), given["login"])
        return 200, {"access_token": token, "token_type": "bearer"}

    def read(self, path: str, headers: dict[str, str]) -> tuple[int, object]:
        """The API."""
        if self.is_away:
            return 503, {"message": "not now"}
        place = path.removeprefix(self.api)
        given = headers.get("Authorization", "")
        if place == "/user":
            found = self.tokens.get(given.removeprefix("Bearer "))
            name = "username" if self.kind == "gitlab" else "login"
            return (200, {"id": found[0], name: found[1]}) if found else (401, {"message": "no"})
        ours = {"github": f"Bearer {TOKEN}", "gitea": f"token {TOKEN}"}.get(self.kind)
        if headers.get("PRIVATE-TOKEN") != TOKEN and given != ours:
            return 401, {"message": "Bad credentials"}
        self.asked.append(place)
        return self._member(place)

    def _member(self, place: str) -> tuple[int, Any]:
        if place == f"/repos/{self.repo}":
            return 200, {"id": self.repo_id}
        for login, identity in self.ids.items():
            said = self.permissions.get(login, "none")
            if place == f"/repos/{self.repo}/collaborators/{login}/permission":
                return 200, {"permission": said, "user": {"id": identity, "login": login}}
            if place == f"/projects/{self.repo_id}/members/all/{identity}" and said != "none":
                member = {"id": identity, "username": login, "state": "active"}
                return 200, {**member, "access_level": ACCESS[said]}
        return 404, {"message": "Not Found"}

    def __enter__(self) -> "LoginForge":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        assert not self.wrong, self.wrong
