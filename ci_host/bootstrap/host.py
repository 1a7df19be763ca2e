"""The host process. What releases jobs is at work first; what people and forges ask for takes ten
times as long to load, in a thread beside it (`serving`). It holds no tenant code.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

from ci_host.adapters.nats.bus import Bus, connect
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.line import NatsLine
from ci_host.bootstrap.incarnation import incarnation
from ci_host.bootstrap.loading import Loading, end_loading
from ci_host.engine.dispatcher import Dispatcher
from ci_host.settings import ProcessSettings

# Neither who loads code nor the fold, each in a thread, may keep callers waiting for the 5 ms that
# Python would let them.
THREADS_SWITCH_S = 0.0005

Serve = Callable[[ProcessSettings, Bus, str, Dispatcher], Awaitable[None]]


class Host:
    """Begins to load at once; `run` may come much later."""

    def __init__(self, process: ProcessSettings) -> None:
        self._process = process
        sys.setswitchinterval(THREADS_SWITCH_S)
        self._loading = Loading(_load_serve)

    async def run(self, nats_url: str) -> None:
        """Serve until cancelled."""
        process, name = self._process, incarnation()
        bus = await connect(nats_url, name="host")
        history = NatsHistory(bus, name, process.settings.nats_replicas)
        dispatcher = Dispatcher(NatsLine(bus), history, now=time.time)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(dispatcher.serve())
                serve = await self._loading.done()
                end_loading()
                await serve(process, bus, name, dispatcher)
        finally:
            await bus.close()


def _load_serve() -> Serve:
    from ci_host.bootstrap.serving import serve

    return serve
