"""Served: a World on a real port, in a thread of its own; acts of the test go into its loop."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from tests.patience import PATIENCE_S
from tests.web.world import World

T = TypeVar("T")


class Served:
    """`url` is where a browser finds it."""

    def __init__(self, world: World, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.world = world
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._loop = loop

    def do(self, act: Coroutine[Any, Any, T]) -> T:
        """Have something happen in the host's own loop."""
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(PATIENCE_S)


@contextmanager
def served(world: World) -> Iterator[Served]:
    """The World, answering on a free port of loopback."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        world.app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    loop = asyncio.new_event_loop()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(server.serve(sockets=[listening]))
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Served(world, listening.getsockname()[1], loop)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listening.close()


@contextmanager
def served_world(folder: Path) -> Iterator[Served]:
    """A World of its own in this folder, answering; it ends with it."""
    world = World(folder)
    try:
        with served(world) as host:
            yield host
    finally:
        world.model.close()
