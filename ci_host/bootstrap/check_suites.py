"""AppSuites: the checks that a GitHub App has in a check suite, asked of GitHub."""

from collections.abc import Callable

import httpx2

from ci_host.ports import SourceRefused, SourceUnavailable
from pipelines.repo import Repo
from webhooks.forge import Connections, Later, Refused
from webhooks.github.app import AppTokens
from webhooks.github.checks import runs_of_suite


class AppSuites:
    """See CheckSuites."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        tokens: AppTokens,
        connections: Connections,
        now: Callable[[], float],
    ) -> None:
        self._client, self._tokens = client, tokens
        self._connections, self._now = connections, now

    async def runs(self, repo: Repo, suite: str) -> list[str]:
        connection = self._connections.find(repo.connection)
        if connection is None or not connection.app or not suite.isdecimal():
            raise SourceRefused(f"connection {repo.connection!r} is no App that could have checks")
        told = await runs_of_suite(
            self._client, self._tokens, connection, repo.name, suite, now=self._now()
        )
        match told:
            case Later(reason):
                raise SourceUnavailable(f"{repo.name}: its checks cannot be listed now: {reason}")
            case Refused(reason):
                raise SourceRefused(f"{repo.name}: its checks cannot be listed: {reason}")
        return told
