"""Front: a proxy before a real host, as those that end TLS are. While it does not reach the host,
it answers 502 with a page."""

import http.client
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PAGE = b"<html><h1>502 Bad Gateway</h1></html>"
OURS = frozenset({"transfer-encoding", "connection", "content-length"})


class Front:
    """A context. `lose()`: it reaches its host no more, and what was coming ends; `find()`: it does
    again. `missed`: the paths that were answered with a 502."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url)
        self._is_lost = False
        self._coming: set[socket.socket] = set()
        self.missed: list[str] = []
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                front.pass_on(self)

            do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def pass_on(self, asked: BaseHTTPRequestHandler) -> None:
        """One request to the host, and its answer back as it comes."""
        host = http.client.HTTPConnection(self._host.hostname or "", self._host.port)
        body = asked.rfile.read(int(asked.headers.get("content-length", 0)))
        try:
            if self._is_lost:
                raise ConnectionError
            host.request(asked.command, asked.path, body, dict(asked.headers))
            answer = host.getresponse()
        except (OSError, http.client.HTTPException):
            self.missed.append(asked.path)
            asked.send_response(502)
            asked.send_header("content-type", "text/html")
            asked.end_headers()
            asked.wfile.write(PAGE)
            return
        asked.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in OURS:
                asked.send_header(name, value)
        asked.end_headers()
        self._coming.add(asked.connection)
        with suppress(OSError, http.client.HTTPException):
            while piece := answer.read1():
                asked.wfile.write(piece)
        self._coming.discard(asked.connection)
        host.close()

    def lose(self) -> None:
        """What was coming ends as if it were whole."""
        self._is_lost = True
        for one in list(self._coming):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def find(self) -> None:
        """The host is there again."""
        self._is_lost = False

    def __enter__(self) -> "Front":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.lose()
        self._server.shutdown()
        self._server.server_close()
