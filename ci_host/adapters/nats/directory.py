"""Directory: the host's settings held in memory and kept fresh, for whoever must not wait.

Implements webhooks.routes.Connections. Writing goes through NatsCatalog; a change is heard of at
once, and, should the word be lost with a connection, at the next reading.
"""

import asyncio

import msgspec
import structlog
from nats.aio.msg import Msg

from ci_host.access import Token
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.sweep import sweep
from ci_host.badge import BadgeRule
from ci_host.ports import Unavailable
from pipelines.announcement import Subscription
from pipelines.repo import Connection, Repo

REFRESH_S = 30.0

log = structlog.get_logger()


class Directory:
    """Connections, Repos and Subscriptions by id, Tokens by the digest of their secret, BadgeRules
    by the id of their Repo."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.connections: dict[str, Connection] = {}
        self.repos: dict[str, Repo] = {}
        self.tokens: dict[str, Token] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.badges: dict[str, BadgeRule] = {}
        self._task: asyncio.Task[None] | None = None
        # Everything up to this sequence is known; what changes gets a higher one.
        self._through = 0

    async def start(self) -> None:
        """Read everything, and go on listening."""
        await self._bus.client.subscribe("config.>", cb=self._on_change)
        await self._read_all()
        self._task = asyncio.create_task(self._refresh())

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()

    def find(self, connection_id: str) -> Connection | None:
        """The Connection of that id, or None."""
        return self.connections.get(connection_id)

    def name_of(self, repo: str, before: str) -> str:
        """What the Repo of this id is called now; of one that is not known: `before`."""
        known = self.repos.get(repo)
        return before if known is None else known.name

    async def _on_change(self, message: Msg) -> None:
        self._take(message.subject, message.data)

    async def _read_all(self) -> None:
        async for one in sweep(self._bus, subjects.CONFIG, "config.>"):
            self._take(one.subject, one.body)
            self._through = one.sequence

    async def _read_newer(self) -> None:
        for stored in await self._bus.read(subjects.CONFIG, "config.>", self._through):
            self._take(stored.subject, stored.body)
            self._through = stored.sequence

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self._read_newer()
            except Unavailable as error:
                log.debug("settings_not_refreshed", reason=str(error))

    def _take(self, subject: str, body: bytes) -> None:
        match subject.split(".")[1]:
            case "connection":
                connection = msgspec.json.decode(body, type=Connection)
                self.connections[connection.id] = connection
            case "repo":
                repo = msgspec.json.decode(body, type=Repo)
                self.repos[repo.id] = repo
            case "token":
                token = msgspec.json.decode(body, type=Token)
                self.tokens[token.digest] = token
            case "subscription":
                subscription = msgspec.json.decode(body, type=Subscription)
                self.subscriptions[subscription.id] = subscription
            case "badge":
                rule = msgspec.json.decode(body, type=BadgeRule)
                self.badges[rule.repo] = rule
            case "limit" | "pool" | "environment":
                pass  # the line's own, see NatsLine
            case "trust":
                pass  # asked for when a pull request comes, see NatsTrust
            case kind:
                log.warning("unknown_setting", kind=kind)
