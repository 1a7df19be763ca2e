"""ServedGitHub: the strict GitHub on a port of loopback, for hosts that call it in earnest."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

from tests.contract.app_keys import APP, Keys, new_keys
from tests.contract.strict_github import StrictGitHub


class ServedGitHub:
    """Start it with `with`. `hold` keeps the answers to whatever is written back: it is taken, and
    nobody hears that it was, until `release`."""

    def __init__(self) -> None:
        self.keys: Keys = new_keys()
        self.github = StrictGitHub(APP, self.keys.public, time.time)
        self._turn = threading.Lock()
        self._released = threading.Event()
        self._released.set()
        self.held = 0
        self._wrong: list[AssertionError] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                answer = served._take(self.command, self.path, dict(self.headers), body)
                try:
                    self.send_response(answer.status_code)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(answer.content)))
                    self.end_headers()
                    self.wfile.write(answer.content)
                except OSError:
                    """The caller was killed meanwhile."""

            do_GET = do_POST = do_PATCH = _answer

            def log_message(self, *_: object) -> None:
                """The test's output is its own."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def hold(self) -> None:
        """See above."""
        self._released.clear()

    def release(self) -> None:
        """Answers go out again."""
        self._released.set()

    def _take(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> httpx2.Response:
        request = httpx2.Request(method, f"{self.url}{path}", headers=headers, content=body)
        try:
            with self._turn:
                answer = self.github(request)
        except AssertionError as error:
            # A thread of a server fails no test: the end of `with` does.
            self._wrong.append(error)
            raise
        if method != "GET" and "/check-runs" in path and not self._released.is_set():
            self.held += 1
            self._released.wait()
        return answer

    def __enter__(self) -> "ServedGitHub":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if self._wrong:
            raise self._wrong[0]
