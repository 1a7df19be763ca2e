"""Measured: how much is in each stream, and how much each consumer still has before it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec

from ci_host.adapters.nats.bus import ApiError, Bus
from ci_host.ports import Unavailable


class StreamNumbers(msgspec.Struct, frozen=True):
    """The state of a stream."""

    messages: int = 0
    bytes: int = 0
    last_seq: int = 0


class _Named(msgspec.Struct, frozen=True):
    name: str = ""


class _Stream(msgspec.Struct, frozen=True):
    config: _Named = _Named()
    state: StreamNumbers = StreamNumbers()


class _Consumer(msgspec.Struct, frozen=True):
    name: str = ""
    num_pending: int = 0
    num_ack_pending: int = 0


class _Page(msgspec.Struct, frozen=True):
    total: int = 0
    streams: list[_Stream] | None = None
    consumers: list[_Consumer] | None = None
    error: ApiError | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one consumer of a stream has still to do."""

    stream: str
    consumer: str
    messages: int


async def streams(bus: Bus) -> dict[str, StreamNumbers]:
    """Every stream, by its name. Raises Unavailable."""
    found: dict[str, StreamNumbers] = {}
    async for page in _pages(bus, "$JS.API.STREAM.LIST"):
        found |= {one.config.name: one.state for one in page.streams or []}
    return found


async def backlogs(bus: Bus, stream: str) -> list[Backlog]:
    """Of every consumer of a stream. Raises Unavailable."""
    return [
        Backlog(stream, one.name, one.num_pending + one.num_ack_pending)
        async for page in _pages(bus, f"$JS.API.CONSUMER.LIST.{stream}")
        for one in page.consumers or []
    ]


async def _pages(bus: Bus, subject: str) -> AsyncIterator[_Page]:
    read = 0
    while True:
        answer = await bus.request(subject, msgspec.json.encode({"offset": read}))
        page = msgspec.json.decode(answer.data, type=_Page)
        if page.error is not None:
            raise Unavailable(f"{subject}: {page.error.description}")
        yield page
        here = len(page.streams or page.consumers or [])
        read += here
        if not here or read >= page.total:
            return
