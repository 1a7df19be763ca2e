"""Scripted: a program on loopback that is no Staunch, or half of one: it answers as it is told."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered. `is_cut`: less comes than was promised."""

    status: int = 200
    body: str = "{}"
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    is_cut: bool = False


def page(status: int = 200) -> Reply:
    """As a proxy, a login of a network or another program answers."""
    return Reply(status, "<!doctype html><title>Welcome</title>", "text/html; charset=utf-8")


def stream(*events: str, is_cut: bool = False) -> Reply:
    """Server-sent events as they stand, then the end, or a connection that breaks."""
    return Reply(body="".join(events), kind="text/event-stream; charset=utf-8", is_cut=is_cut)


class Scripted:
    """A context. The replies are given in this order, the last again and again; `asked` are the
    paths as they came, `places` what each request gave as its last event."""

    def __init__(self, *replies: Reply) -> None:
        self.asked: list[str] = []
        self.places: list[str | None] = []
        self.keys: list[str | None] = []
        left = list(replies)
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                scripted.asked.append(self.path)
                scripted.places.append(self.headers["last-event-id"])
                scripted.keys.append(self.headers["authorization"])
                reply = left.pop(0) if len(left) > 1 else left[0]
                body = reply.body.encode()
                self.send_response(reply.status)
                told = {"content-type": reply.kind, **reply.headers}
                told["content-length"] = str(len(body) + reply.is_cut)
                for name, value in told.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Scripted":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
