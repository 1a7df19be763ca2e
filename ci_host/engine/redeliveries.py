"""Redeliveries: has a forge send again what it could not deliver, where it has an API for that.

For calls of which no ref tells: comments, labels, releases. What is sent again is a webhook call
like any other, under the id that it had, and is taken once. Nothing is remembered over a restart:
what arrived, the forge itself lists.

An App has one list for all its repositories, and is asked in every round. A webhook of one
repository has a list of its own: it is asked soon after a start, when calls may have been missed,
and when the refs have told of something that no call did.
"""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from ci_host.ref_ports import CallSource
from pipelines.repo import Connection, ForgeKind, Repo
from webhooks.forge import Later, Refused

ROUND_S = 300.0
# A call is listed a while after it was made.
OVERLAP_S = 600.0
LOST_S_MAX = 3 * 86_400.0
REPOS_PER_ROUND = 20

log = structlog.get_logger()


class Redeliveries:
    """`repos` and `connections` are those that are registered now, as somebody else keeps them."""

    def __init__(
        self,
        calls: CallSource,
        repos: Mapping[str, Repo],
        connections: Mapping[str, Connection],
        *,
        now: Callable[[], float],
    ) -> None:
        """`now`: seconds since the epoch."""
        self._calls = calls
        self._repos = repos
        self._connections = connections
        self._now = now
        self._seen_until: dict[str, float] = {}
        # In the order in which they are asked; a dict, for each is in it once.
        self._suspects: dict[str, None] = {}
        self._known: set[str] = set()

    def suspect(self, repo: str) -> None:
        """Something of this Repo was told by no call: others may be missing, too."""
        self._suspects[repo] = None

    async def serve(self) -> None:
        """Ask for ever."""
        while True:
            try:
                await self.round()
            except Exception:  # the edge: it must go on with the next
                log.exception("redeliveries_broke")
            await asyncio.sleep(ROUND_S)

    async def round(self) -> None:
        """Ask every App, and the webhooks of some repositories."""
        for connection in list(self._connections.values()):
            if connection.kind is ForgeKind.GITHUB and connection.app:
                await self._ask_app(connection)
        for repo in self._repos.keys() - self._known:
            self._known.add(repo)
            self.suspect(repo)
        asked = 0
        for suspect in list(self._suspects):
            if asked == REPOS_PER_ROUND:
                break
            asked += await self._ask_repo(suspect)

    async def _ask_app(self, connection: Connection) -> None:
        began = self._now()
        since = self._seen_until.get(connection.id, began - LOST_S_MAX) - OVERLAP_S
        told = await self._calls.ask_again(connection, None, since)
        if isinstance(told, Later | Refused):
            log.warning("calls_not_listed", connection=connection.id, reason=told.reason)
            return
        self._seen_until[connection.id] = began
        if told:
            log.info("calls_asked_for_again", connection=connection.id, deliveries=list(told))

    async def _ask_repo(self, suspect: str) -> bool:
        """Whether its forge was asked."""
        repo = self._repos.get(suspect)
        connection = None if repo is None else self._connections.get(repo.connection)
        if repo is None or connection is None or connection.app:
            del self._suspects[suspect]
            return False
        told = await self._calls.ask_again(connection, repo, self._now() - LOST_S_MAX)
        match told:
            case Later(reason):
                # It stays in its place, for the next round.
                log.warning("calls_not_listed", repo=suspect, reason=reason)
                return True
            case Refused(reason):
                log.info("calls_cannot_be_listed", repo=suspect, reason=reason)
        del self._suspects[suspect]
        if told and not isinstance(told, Refused):
            log.info("calls_asked_for_again", repo=suspect, deliveries=list(told))
        return told is not None
