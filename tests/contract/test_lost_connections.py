"""A connection to the bus that is lost in the very moment in which somebody writes to it."""

import asyncio
from pathlib import Path

import pytest
import uvloop

from ci_host.adapters.nats.bus import connect
from ci_host.adapters.nats.server import EmbeddedServer, ServerSettings
from ci_host.ports import Unavailable

pytestmark = pytest.mark.nats


def test_who_writes_as_it_is_lost_is_to_try_again_on_the_loop_that_we_use(tmp_path: Path) -> None:
    async def write(url: str) -> None:
        bus = await connect(url, name="lost")
        client = bus.client
        # As if nothing of the library's had had its turn since.
        for task in (client._flusher_task, client._reading_task):
            assert task is not None
            task.cancel()
            await asyncio.wait([task])
        client._transport._io_writer.transport.abort()
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="no answer on x"):
            await bus.request("x")
        await bus.hint("x")
        await bus.close()

    with EmbeddedServer(ServerSettings(tmp_path)) as server:
        uvloop.run(write(server.url))
