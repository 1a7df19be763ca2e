"""NatsSessions: the keys of people who logged in at a forge, on JetStream, for a day."""

import msgspec

from ci_host.access import Token
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus


class NatsSessions:
    """By the digest of their secret. Each is good for less than the stream keeps it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def put(self, session: Token) -> None:
        """Add or replace; durable when it returns. Raises Unavailable."""
        await self._bus.publish(subjects.session(session.digest), msgspec.json.encode(session))

    async def all(self) -> list[Token]:
        """Those of a day, also what is over. Raises Unavailable."""
        stored = await self._bus.read(subjects.SESSIONS, subjects.session("*"))
        return [msgspec.json.decode(one.body, type=Token) for one in stored]

    async def get(self, digest: str) -> Token | None:
        """The one of this secret, if there is one. Raises Unavailable."""
        stored = await self._bus.last(subjects.SESSIONS, subjects.session(digest))
        return None if stored is None else msgspec.json.decode(stored.body, type=Token)
