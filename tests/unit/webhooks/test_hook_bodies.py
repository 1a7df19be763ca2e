"""What somebody sends who may be nobody: not for long, and not so much that others have no room."""

import asyncio
import socket
import threading

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from tests.patience import PATIENCE_S
from tests.runner_world import until
from webhooks.hook_bodies import Bodies, Problem

pytestmark = pytest.mark.anyio


class Reading:
    """A server that reads bodies, and says how many bytes there were."""

    def __init__(self, bodies: Bodies) -> None:
        app = FastAPI()

        @app.post("/")
        async def read(request: Request) -> Response:
            try:
                return JSONResponse(len(await bodies.read(request)))
            except Problem as problem:
                return problem.response()

        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))

    def __enter__(self) -> "Reading":
        self._socket.listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def begun(self, length: int, sent: bytes) -> socket.socket:
        """A request that announces so much and sends this."""
        link = socket.create_connection(self._socket.getsockname(), PATIENCE_S)
        link.sendall(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % length + sent)
        return link


def status_of(link: socket.socket) -> int:
    """What it is answered with."""
    return int(link.recv(65_536).split(b" ")[1])


async def test_a_body_that_does_not_come_is_not_waited_for():
    with Reading(Bodies(timeout_s=0.2)) as server:
        with server.begun(10, b"12345") as link:
            assert await asyncio.to_thread(status_of, link) == 408
        with server.begun(5, b"12345") as link:
            assert await asyncio.to_thread(status_of, link) == 200


async def test_all_that_are_read_at_once_have_room_for_so_much_and_it_comes_back():
    bodies = Bodies(most=1_000, small=150)
    with Reading(bodies) as server:
        with server.begun(901, b"x" * 900) as waiting:
            await until(lambda: bodies.held == 900, "the first of the two")
            with server.begun(200, b"x" * 200) as beyond:
                assert await asyncio.to_thread(status_of, beyond) == 503
            # Who sends little is read nevertheless, as forges do.
            with server.begun(150, b"x" * 150) as little:
                assert await asyncio.to_thread(status_of, little) == 200
            waiting.sendall(b"x")
            assert await asyncio.to_thread(status_of, waiting) == 200
        with server.begun(999, b"x" * 999) as alone:
            assert await asyncio.to_thread(status_of, alone) == 200
