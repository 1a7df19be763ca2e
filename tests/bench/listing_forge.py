"""ListingForge: repositories as Gitea lists them, of which none has changed for months.

In a process of its own, so that what it costs is nobody else's. It answers a page of those that
changed last, no open pull requests, and counts nothing.
"""

import json
import multiprocessing
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection as Pipe
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 50


class ListingForge:
    """Start it with `with`; `url` is where its API is. Repositories have the ids from 0 on."""

    def __init__(self, count: int, changed_at: float) -> None:
        """`changed_at`: when the first of them changed last; each of the others an hour sooner."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(count, changed_at, theirs), daemon=True
        )
        self._ours = ours
        self.url = ""

    def __enter__(self) -> "ListingForge":
        self._process.start()
        self.url = f"http://127.0.0.1:{self._ours.recv()}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()


def _serve(count: int, changed_at: float, theirs: Pipe) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            page = int(parse_qs(parts.query).get("page", ["1"])[0])
            answer: Any = []
            if parts.path == "/api/v1/repos/search":
                ids = range(PAGE * (page - 1), min(count, PAGE * page))
                answer = {"ok": True, "data": [_repository(id, changed_at) for id in ids]}
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    theirs.send(server.server_port)
    server.serve_forever()


def _repository(number: int, changed_at: float) -> dict[str, Any]:
    """As large as a real one."""
    at = datetime.fromtimestamp(changed_at - 3_600.0 * number, UTC).isoformat()
    more = {f"field_{one}": f"https://forge.example/acme/repo-{number}" for one in range(40)}
    return {"id": number, "full_name": f"acme/repo-{number}", "updated_at": at, **more}
