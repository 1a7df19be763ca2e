"""IllForge: a Forge on loopback that can be away, ill, strict, or slow to answer, as it is told."""

import json
import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.patience import PATIENCE_S

PATH = re.compile(r"/api/v1/repos/([^/]+/[^/]+)/statuses/([0-9a-f]{40})")


@dataclass(frozen=True)
class Heard:
    """One status as it arrived."""

    repo: str
    commit: str
    context: str
    state: str
    description: str


@dataclass(frozen=True)
class Call:
    """One request that got through, what was answered, and when."""

    heard: Heard
    code: int
    at: float


class IllForge:
    """Its port is its own from the start, and refuses connections until `listen`.

    `told` holds what it took, `calls` everything that came, both in the order of arrival.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.told: list[Heard] = []
        self.refuses: dict[str, int] = {}
        self._answers: deque[int] = deque()
        self._retry_after_s = 0
        self._hold_from = -1
        self._released = threading.Event()
        self.is_holding = False
        forge = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code, headers = forge._take(self.path, body)
                content = json.dumps({"message": f"a forge that says {code}"}).encode()
                try:
                    self.send_response(code)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    """The caller was killed meanwhile."""

            def log_message(self, *_: object) -> None:
                """The test's output is its own."""

        # Bound and not listening: the kernel refuses, and nobody else can get the port.
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self._server.server_bind()
        self._thread: threading.Thread | None = None
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def listen(self) -> None:
        """Be back."""
        self._server.server_activate()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def answer(self, *codes: int, retry_after_s: int = 0) -> None:
        """Answer the next calls so; a 429 names the time."""
        self._answers.extend(codes)
        self._retry_after_s = retry_after_s

    def hold_from(self, number: int) -> None:
        """Take that call (counted from one), and answer neither it nor a later one for now."""
        self._released.clear()
        self._hold_from = number

    def release(self) -> None:
        """Answer again."""
        self._hold_from, self.is_holding = -1, False
        self._released.set()

    def _take(self, path: str, body: bytes) -> tuple[int, dict[str, str]]:
        found = PATH.fullmatch(path)
        assert found is not None, path
        said = json.loads(body)
        heard = Heard(found[1], found[2], said["context"], said["state"], said["description"])
        code = self.refuses.get(heard.repo) or (self._answers.popleft() if self._answers else 201)
        self.calls.append(Call(heard, code, time.monotonic()))
        if code == 201:
            self.told.append(heard)
        if 0 <= self._hold_from <= len(self.calls):
            self.is_holding = True
            self._released.wait(PATIENCE_S)
        return code, {"Retry-After": str(self._retry_after_s)} if code == 429 else {}

    def __enter__(self) -> "IllForge":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
