"""ShellLinks: terminals over the bus. See ShellLink; subjects: `pipelines.shell` and docs/bus.md.

What is typed and shown goes from host to runner and back, and is stored nowhere. The client hears
again after a lost connection; what was on its way then is lost, and each side notices by silence.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import Error

from pipelines import shell
from pipelines.shell import ShellAsked, ShellTold, Standby
from runners.ports import Unavailable, Visit


class ShellLinks:
    """Of one runner."""

    def __init__(
        self, client: Client, stand_by: Callable[[Standby], Awaitable[None]], *, runner: str
    ) -> None:
        """`stand_by` makes it known that a job waits; whoever may write to the bus, there."""
        self._client = client
        self._stand_by = stand_by
        self._runner = runner

    async def stand_by(self, standby: Standby) -> None:
        """As the port says."""
        await self._stand_by(standby)

    async def visits(self, job: str) -> AsyncIterator[Visit]:
        """A subscription of its own for each job that waits."""
        try:
            asks = await self._client.subscribe(shell.asks(self._runner, job))
        except Error as error:
            raise Unavailable(str(error)) from error
        return self._visits(asks)

    async def _visits(self, asks: Subscription) -> AsyncIterator[Visit]:
        try:
            async for message in asks.messages:
                try:
                    asked = msgspec.json.decode(message.data, type=ShellAsked)
                    typed = shell.typed(self._runner, asked.job, asked.session)
                    frames = await self._client.subscribe(typed)
                except (msgspec.MsgspecError, Error):
                    continue
                yield _Visit(self._client, asked, frames, self._runner)
        finally:
            await _forget(asks)


class _Visit:
    """See Visit."""

    def __init__(
        self, client: Client, asked: ShellAsked, frames: Subscription, runner: str
    ) -> None:
        self.asked = asked
        self._client = client
        self._frames = frames
        self._said = shell.said(runner, asked.job, asked.session)

    async def answer(self, told: ShellTold) -> None:
        """Before any frame, and where these go: a runner may publish to nobody's inbox."""
        await self._publish(self._said, msgspec.json.encode(told))

    async def frames(self) -> AsyncIterator[bytes]:
        """Subscribed to before the visit was known."""
        async for message in self._frames.messages:
            yield message.data

    async def send(self, frame: bytes) -> None:
        """A message each."""
        await self._publish(self._said, frame)

    async def leave(self) -> None:
        """End the subscription."""
        await _forget(self._frames)

    async def _publish(self, subject: str, body: bytes) -> None:
        try:
            await self._client.publish(subject, body)
        except Error as error:
            raise Unavailable(str(error) or type(error).__name__) from error


async def _forget(subscription: Subscription) -> None:
    try:
        await subscription.unsubscribe()
    except Error:
        return
