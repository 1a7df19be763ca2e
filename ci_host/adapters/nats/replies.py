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
        # Those that wait for one answer alone: nearly all, and in a flood thousands a second.
        self._for_one: dict[str, asyncio.Future[Msg | None]] = {}
        self._inbox = ""
        self._counter = 0
        self._connected = asyncio.Event()

    async def start(self) -> None:
        """Listen."""
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(f"{self._inbox}.*", cb=self._on_reply)
        self._connected.set()

    async def _on_reply(self, message: Msg) -> None:
        name = message.subject.rsplit(".", 1)[1]
        answer = self._for_one.get(name)
        if answer is not None:
            _tell(answer, message)
        elif (queue := self._waiting.get(name)) is not None:
            queue.put_nowait(message)

    def lost(self) -> None:
        """The connection is gone, and with it every answer that was still to come."""
        self._connected.clear()
        for answer in self._for_one.values():
            _tell(answer, None)
        for queue in self._waiting.values():
            queue.put_nowait(None)

    def back(self) -> None:
        """The connection is there again."""
        self._connected.set()

    async def one(self, subject: str, body: bytes, headers: dict[str, str] | None) -> Msg:
        """One request, one answer. Raises Unavailable."""
        self._counter += 1
        name = str(self._counter)
        answer: asyncio.Future[Msg | None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connected.wait()
                self._for_one[name] = answer
                reply = f"{self._inbox}.{name}"
                await self._client.publish(subject, body, reply=reply, headers=headers)
                message = await answer
        except (NatsError, TimeoutError, OSError) as error:
            raise Unavailable(f"no answer on {subject}: {error!r}") from error
        finally:
            self._for_one.pop(name, None)
        if message is None:
            raise Unavailable(f"the connection was lost while {subject} was being answered")
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


def _tell(answer: "asyncio.Future[Msg | None]", message: Msg | None) -> None:
    # Whoever asked may have gone away, or have heard of the loss, in the same moment.
    if not answer.done():
        answer.set_result(message)


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
