"""A doomed engine: the real process, that ends itself with SIGKILL at one message that it sends.

Everything that an engine does to the world is a message to the bus: what it stores, what it asks,
what it acknowledges. Dying before each of them in turn is therefore dying at every moment that can
be told from another. It is forked from a process that has loaded everything: a life costs little.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import structlog
import uvloop
from nats.aio.client import Client

from ci_host.bootstrap.engine import Engine
from ci_host.settings import ProcessSettings, Settings

# With index 0 it fetches code for deliveries too, and begins what is due.
INDEX = 1


class Fuse:
    """How many messages an engine may still send; 0: as many as it likes. Lit from outside."""

    def __init__(self, context: ForkServerContext) -> None:
        self._left = context.Value("i", 0)

    def light(self, messages: int) -> None:
        """Let the engine die instead of sending the message after so many."""
        self._left.value = messages + 1

    def put_out(self) -> int:
        """Nobody dies any more; answers how many messages were left."""
        with self._left.get_lock():
            left, self._left.value = self._left.value, 0
        return max(0, left - 1)

    def burn(self) -> None:
        """One message is about to be sent."""
        with self._left.get_lock():
            is_last = self._left.value == 1
            self._left.value = max(0, self._left.value - 1)
        # Outside of the lock, that would be held for ever.
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)


class DoomedEngine:
    """Starts an engine, and another when the last one is dead."""

    def __init__(
        self,
        data: Path,
        cache: Path,
        nats_url: str,
        shards: list[int],
        index: int = INDEX,
        opening: Path | None = None,
    ) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])
        self.fuse = Fuse(self._context)
        settings = Settings(data=data, cache=cache, nats_url=nats_url, opening=opening)
        self._told = ProcessSettings(settings=settings, index=index, shards=shards)
        self._nats_url = nats_url
        self._process: ForkServerProcess | None = None

    def start(self) -> None:
        """Begin a life."""
        self._process = self._context.Process(
            target=_live, args=(self._told, self._nats_url, self.fuse)
        )
        self._process.start()

    @property
    def is_dead(self) -> bool:
        """Whether its life is over."""
        return self._process is None or not self._process.is_alive()

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.join()


def _live(told: ProcessSettings, nats_url: str, fuse: Fuse) -> None:
    publish = Client.publish

    async def burning(client: Client, *given: Any, **named: Any) -> None:
        fuse.burn()
        await publish(client, *given, **named)

    Client.publish = burning  # type: ignore[method-assign]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Engine(told).run(nats_url))
