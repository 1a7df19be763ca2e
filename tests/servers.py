"""Servers: a real nats-server for a test, with every stream, ended when the test is."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from ci_host.adapters.nats.bus import Bus, connect
from ci_host.adapters.nats.server import EmbeddedServer, ServerSettings
from ci_host.adapters.nats.streams import ensure_streams

SHARDS = 4


@contextmanager
def nats_server(folder: Path, port: int = 0) -> Iterator[EmbeddedServer]:
    """A server with its store in this folder."""
    with EmbeddedServer(ServerSettings(folder, port)) as server:
        yield server


@asynccontextmanager
async def bus_of(server: EmbeddedServer, *, streams: bool = True) -> AsyncIterator[Bus]:
    """A connection to it; the streams exist."""
    bus = await connect(server.url, name="test")
    try:
        if streams:
            await ensure_streams(bus.js, SHARDS)
        yield bus
    finally:
        await bus.close()
