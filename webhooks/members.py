"""Members: asks the Forge that a Repo lives on what an account of it may do there.

Asked with the connection's own token. An answer is of the moment: who keeps it says for how long.
"""

from collections.abc import Callable

import httpx2

from pipelines.repo import Connection, ForgeKind, Repo
from webhooks.forge import Account, Connections, Later, MemberReader, Permission, Refused
from webhooks.gitea.members import GiteaMembers
from webhooks.github.app import AppTokens
from webhooks.github.members import GitHubMembers
from webhooks.gitlab.members import GitLabMembers


class Members:
    """All Connections over one HTTP client. Safe to use from many tasks at once."""

    def __init__(
        self,
        connections: Connections,
        client: httpx2.AsyncClient,
        apps: AppTokens,
        *,
        now: Callable[[], float],
    ) -> None:
        self._connections, self._client, self._now = connections, client, now
        self._apps = apps

    async def permission(self, repo: Repo, who: Account) -> Permission | Later | Refused:
        """What is so now. Never raises for what network or forge do."""
        connection = self._connections.find(repo.connection)
        asking = None if connection is None else await self._apps.asking(connection, repo.name)
        if isinstance(asking, Later | Refused):
            return asking
        reader = None if asking is None else self._reader_of(asking)
        if reader is None:
            return Refused(f"connection {repo.connection} has no API, or no token, to ask with")
        return await reader.permission(repo, who)

    def _reader_of(self, connection: Connection) -> MemberReader | None:
        if not connection.api_url or not connection.token:
            return None
        match connection.kind:
            case ForgeKind.GITHUB:
                return GitHubMembers(connection, self._client, self._now())
            case ForgeKind.GITEA:
                return GiteaMembers(connection, self._client, self._now())
            case ForgeKind.GITLAB:
                return GitLabMembers(connection, self._client, self._now())
            case _:
                return None
