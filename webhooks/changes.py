"""Changes: asks the Forges that have such a list which of their repositories changed lately.

GitHub, GitLab, Gitea and Forgejo have one. Bitbucket Cloud sorts repositories by a time of which it
does not say what moves it; Data Center and plain git have none.
"""

from collections.abc import Callable

import httpx2
import msgspec

from pipelines.repo import Connection, ForgeKind, Repo
from webhooks.forge import Changed, ChangeReader, Connections, Later, Refused
from webhooks.gitea.changes import GiteaChanges
from webhooks.github.app import AppTokens, Purpose
from webhooks.github.changes import GitHubChanges
from webhooks.gitlab.changes import GitLabChanges


class Changes:
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

    def place(self, repo: Repo) -> str:
        """Which list the repository would be in; empty: there is none, or no token for it."""
        connection = self._connections.find(repo.connection)
        if connection is None or not connection.api_url:
            return ""
        if connection.kind is ForgeKind.GITHUB and connection.app:
            return f"{connection.id} {repo.name.partition('/')[0]}"
        has_list = connection.kind in (ForgeKind.GITHUB, ForgeKind.GITLAB, ForgeKind.GITEA)
        return connection.id if has_list and connection.token else ""

    async def changed(
        self, repo: Repo, since: float, *, whole: bool
    ) -> Changed | Later | Refused | None:
        """What the list that this repository is in has that changed since then (seconds since the
        epoch, by the forge's clock); `whole`: all of it. None: there is none."""
        connection = self._connections.find(repo.connection)
        if connection is None or not self.place(repo):
            return None
        owner = ""
        if connection.app and connection.kind is ForgeKind.GITHUB:
            owner = repo.name.partition("/")[0]
            token = await self._apps.token(connection, repo.name, Purpose.CHANGES)
            if not isinstance(token, str):
                return token
            connection = msgspec.structs.replace(connection, token=token)
        return await self._reader(connection, owner).changed(since, whole=whole)

    def _reader(self, connection: Connection, owner: str) -> ChangeReader:
        match connection.kind:
            case ForgeKind.GITHUB:
                return GitHubChanges(connection, owner, self._client, self._now())
            case ForgeKind.GITLAB:
                return GitLabChanges(connection, self._client, self._now())
            case kind:
                assert kind is ForgeKind.GITEA, "the others are in no list"
                return GiteaChanges(connection, self._client, self._now())
