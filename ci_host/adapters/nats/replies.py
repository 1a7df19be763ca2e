"""Replies: requests over one inbox, that end at once when the connection does.

The client library's own requests know nothing of a lost connection: each would wait out its whole
time-out, and a restart of the server would cost seconds instead of a moment.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from ci_host.ports import Unavailable

NO_RESPONDERS = "503"


class Replies:
    """One per connection. `start` it when connected; tell it of each loss and return."""

    def __init__(self, client: Client, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._waiting: dict[str, asyncio.Queue[Msg | None]] = {}
        self._inbox = ""
        self._counter = 0
        self._connected = asyncio.Event()

    async def start(self) -> None:
        """Listen."""
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(f"{self._inbox}.*", cb=self._on_reply)
        self._connected.set()

    async def _on_reply(self, message: Msg) -> None:
        queue = self._waiting.get(message.subject.rsplit(".", 1)[1])
        if queue is not None:
            queue.put_nowait(message)

    def lost(self) -> None:
        """The connection is gone, and with it every answer that was still to come."""
        self._connected.clear()
        for queue in self._waiting.values():
            queue.put_nowait(None)

    def back(self) -> None:
        """The connection is there again."""
        self._connected.set()

    async def one(self, subject: str, body: bytes, headers: dict[str, str] | None) -> Msg:
        """One request, one answer. Raises Unavailable."""
        async with self.many(subject, body, headers) as answers:
            message = await answers.next()
        if message.headers and message.headers.get("Status") == NO_RESPONDERS:
            raise Unavailable(f"nobody answers on {subject}")
        return message

    @asynccontextmanager
    async def many(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None
    ) -> AsyncIterator["Answers"]:
        """One request, and its answers one by one. Raises Unavailable."""
        self._counter += 1
        name = str(self._counter)
        queue: asyncio.Queue[Msg | None] = asyncio.Queue()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connected.wait()
                self._waiting[name] = queue
                await self._client.publish(
                    subject, body, reply=f"{self._inbox}.{name}", headers=headers
                )
            yield Answers(subject, queue, self._timeout_s)
        except (NatsError, TimeoutError, OSError) as error:
            raise Unavailable(f"no answer on {subject}: {error!r}") from error
        finally:
            self._waiting.pop(name, None)


class Answers:
    """The answers to one request, in order of arrival."""

    def __init__(self, subject: str, queue: "asyncio.Queue[Msg | None]", timeout_s: float) -> None:
        self._subject, self._queue, self._timeout_s = subject, queue, timeout_s

    async def next(self) -> Msg:
        """The next one. Raises Unavailable (connection lost) or TimeoutError (none comes)."""
        if self._queue.empty():
            async with asyncio.timeout(self._timeout_s):
                message = await self._queue.get()
        else:
            message = self._queue.get_nowait()
        if message is None:
            raise Unavailable(f"the connection was lost while {self._subject} was being answered")
        return message
