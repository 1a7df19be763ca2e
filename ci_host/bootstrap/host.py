"""The host process. What releases jobs is at work first; what people and forges ask for takes ten
times as long to load, in a thread beside it (`serving`). It holds no tenant code.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from threading import Thread

from ci_host.adapters.nats.bus import Bus, connect
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.line import NatsLine
from ci_host.bootstrap.incarnation import incarnation
from ci_host.bootstrap.loading import end_loading
from ci_host.engine.dispatcher import Dispatcher
from ci_host.settings import ProcessSettings

# Neither who loads code nor the fold, each in a thread, may keep callers waiting for the 5 ms that
# Python would let them.
THREADS_SWITCH_S = 0.0005

Serve = Callable[[ProcessSettings, Bus, str, Dispatcher], Awaitable[None]]


class Host:
    """Begins to load at once; `run` may come much later."""

    def __init__(self) -> None:
        sys.setswitchinterval(THREADS_SWITCH_S)
        self._serve: Future[Serve] = Future()
        # A daemon: who is told to end need not wait until all is loaded.
        Thread(target=self._load, name="loading", daemon=True).start()

    async def run(self, process: ProcessSettings) -> None:
        """Serve until cancelled."""
        name = incarnation()
        bus = await connect(process.nats_url, name="host")
        history = NatsHistory(bus, name, process.settings.nats_replicas)
        dispatcher = Dispatcher(NatsLine(bus), history, now=time.time)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(dispatcher.serve())
                serve = await asyncio.wrap_future(self._serve)
                end_loading()
                await serve(process, bus, name, dispatcher)
        finally:
            await bus.close()

    def _load(self) -> None:
        try:
            from ci_host.bootstrap.serving import serve
        except BaseException as error:
            self._serve.set_exception(error)
            raise
        self._serve.set_result(serve)
