"""News: who waits for a Run to move is told at once, by hints that may be lost.

A hint says only that it is worth looking. Whoever looks reads what is durable. A hint can be faster
than the disk: it is heard when the server takes a message, which is before it is stored. So each is
followed by a few echoes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.msg import Msg

from ci_host.adapters.nats.bus import Bus

# A hint that is lost with a connection costs this long.
LOOK_AGAIN_S = 2.0
ECHOES_S = (0.003, 0.02, 0.15)


def folded(run: str) -> str:
    """The topic of a Run in the read model: told once a change can be read. Empty: of any Run."""
    return f"folded.{run}"


class Watch:
    """One who waits for news of a subject."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._echoes: list[float] = []

    def tell(self) -> None:
        """Something happened."""
        self._event.set()

    async def wait_news(self) -> None:
        """Until something happened since the last call, or it is time to look anyway."""
        patience = self._echoes.pop() if self._echoes else LOOK_AGAIN_S
        try:
            async with asyncio.timeout(patience):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()
        self._echoes = list(reversed(ECHOES_S))


class News:
    """Listens to the Runs' and logs' subjects. Start it once."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._watches: dict[str, set[Watch]] = {}

    async def start(self) -> None:
        """Begin to listen."""
        await self._bus.client.subscribe("moved.*", cb=self._on_moved)
        await self._bus.client.subscribe("log.>", cb=self._on_log)
        await self._bus.client.subscribe("outcome.>", cb=self._on_outcome)
        await self._bus.client.subscribe("announcement.>", cb=self._on_announcement)

    async def _on_moved(self, message: Msg) -> None:
        self.tell(message.subject.partition(".")[2])

    async def _on_log(self, message: Msg) -> None:
        self.tell(message.subject)

    async def _on_outcome(self, message: Msg) -> None:
        self.tell(message.subject)

    async def _on_announcement(self, message: Msg) -> None:
        self.tell(message.subject.partition(".")[0])

    def tell(self, topic: str) -> None:
        """Wake whoever waits for this topic (a run id, or a subject), or for everything."""
        for watch in [*self._watches.get(topic, ()), *self._watches.get("", ())]:
            watch.tell()

    def tell_folded(self, run: str) -> None:
        """The read model has news of this Run."""
        self.tell(folded(run))
        self.tell(folded(""))

    @asynccontextmanager
    async def watching(self, topic: str) -> AsyncIterator[Watch]:
        """A Watch on a topic; an empty one hears of everything."""
        watch = Watch()
        self._watches.setdefault(topic, set()).add(watch)
        try:
            yield watch
        finally:
            self._watches[topic].discard(watch)
            if not self._watches[topic]:
                del self._watches[topic]
