"""Forge: an endpoint on loopback that speaks Gitea's status API and writes down what it is told."""

import json
import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "forge-token-of-the-demo"
STATES = {"pending", "success", "error", "failure", "warning"}
PATH = re.compile(r"/api/v1/repos/([^/]+/[^/]+)/statuses/([0-9a-f]{40})")


@dataclass(frozen=True)
class Told:
    """One status as it arrived."""

    repo: str
    commit: str
    context: str
    state: str
    description: str
    target_url: str


class RecordingForge:
    """Start it with `with`; `told` grows in the order of arrival."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        forge = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self._answer(*forge.take(self.path, dict(self.headers), body))

            def do_GET(self) -> None:
                # It knows of statuses alone: of pull requests it says nothing.
                self._answer(404, {"message": "not found"})

            def _answer(self, status: int, answer: dict[str, object]) -> None:
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """The demo's output is its own."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(
        self, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, object]]:
        """Check a call as Gitea does, and write it down."""
        found = PATH.fullmatch(path)
        if found is None:
            return 404, {"message": "not found"}
        if headers.get("Authorization") != f"token {TOKEN}":
            return 401, {"message": "token is required"}
        try:
            said = json.loads(body)
        except ValueError:
            # Whoever said it died meanwhile.
            return 400, {"message": "not JSON"}
        if said.get("state") not in STATES:
            return 422, {"message": "unknown state"}
        fields = ("context", "state", "description", "target_url")
        self.told.append(Told(found[1], found[2], *(said.get(name, "") for name in fields)))
        return 201, {"id": len(self.told), **said}

    def __enter__(self) -> "RecordingForge":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
