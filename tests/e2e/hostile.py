"""A registered runner in somebody else's hands: its key, and whatever they like to do with it."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import Error

from pipelines import desk
from pipelines.desk import Invitation, Told, Verb
from runners.link.admission import admitted, admitted_soon, enrol, seed_of
from runners.membership import Membership

PATIENCE_S = 10.0


class Hostile:
    """One connection with a runner's key. Answers are what the bus or the desk said."""

    def __init__(self, folder: Path, word: str) -> None:
        invited = Invitation.read(word)
        self.runner = invited.runner
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.member = member_of(invited)
        self.client = Client()
        self.is_dropped = asyncio.Event()
        self._denied: asyncio.Queue[str] = asyncio.Queue()
        self.denied_last = ""

    async def __aenter__(self) -> "Hostile":
        async def on_error(error: Exception) -> None:
            if "permissions violation" in str(error).lower():
                self.denied_last = str(error)
                self._denied.put_nowait(str(error))

        async def on_disconnect() -> None:
            self.is_dropped.set()

        self.member = await enrol(self.folder, self.member)
        self.client = await admitted_soon(
            self.member, seed_of(self.folder), on_error=on_error, disconnected_cb=on_disconnect
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.client.close()

    async def comes_again(self) -> None:
        """Another connection with the same key. Raises Turned."""
        await (await admitted(self.member, seed_of(self.folder), "again")).close()

    async def asks_bus(self, subject: str, body: Any = b"") -> bytes | None:
        """What the bus answers to this, or None: it was denied, which is heard apart from it."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        asking = asyncio.create_task(self.client.request(subject, content, timeout=PATIENCE_S))
        denied = asyncio.create_task(self._denied.get())
        await asyncio.wait({asking, denied}, return_when=asyncio.FIRST_COMPLETED)
        if denied.done():
            asking.cancel()
            await asyncio.wait({asking})
            return None
        denied.cancel()
        try:
            return bytes(asking.result().data)
        except (Error, TimeoutError):
            return None

    async def is_denied_to_ask(self, subject: str, body: Any = b"") -> bool:
        """Whether the bus says so, of this very subject."""
        assert await self.asks_bus(subject, body) is None
        return f'"{subject.lower()}"' in self.denied_last.lower()

    async def is_denied_to_hear(self, subject: str) -> bool:
        """Whether the bus says so; it tells everybody who may not listen."""
        await self.client.subscribe(subject)
        async with asyncio.timeout(PATIENCE_S):
            return "subscription" in (await self._denied.get()).lower()

    async def asks_desk(self, verb: Verb, asked: msgspec.Struct, runner: str = "") -> Told | None:
        """What the desk answers, or None."""
        subject = desk.asking(runner or self.runner, verb)
        answer = await self.asks_bus(subject, msgspec.msgpack.encode(asked))
        return None if answer is None else msgspec.msgpack.decode(answer, type=Told)


def member_of(invited: Invitation) -> Membership:
    """Who was invited, before they have enrolled."""
    return Membership(
        address=invited.address,
        runner=invited.runner,
        certificate=invited.certificate,
        seed=invited.seed,
    )
