"""Inquiry: asks the Forge that a Repo lives on about one of its pull requests.

What follows from the answer is decided in `pipelines/trust.py`. An answer is of the moment, and
whoever decides wants that of now; kept is only what the forge itself calls unchanged when asked.
"""

from collections.abc import Callable, Sequence

import httpx2

from pipelines.event import Event
from pipelines.repo import Connection, ForgeKind, Repo
from pipelines.trust import PullFacts
from webhooks.bitbucket.pulls import BitbucketPulls
from webhooks.bitbucket_dc.pulls import BitbucketDcPulls
from webhooks.forge import Connections, Later, OpenPulls, PullReader, Refused, Unchanged
from webhooks.gitea.pulls import GiteaPulls
from webhooks.github.app import AppTokens
from webhooks.github.pulls import GitHubPulls
from webhooks.gitlab.pulls import GitLabPulls


class Inquiry:
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
        self._open: dict[str, OpenPulls] = {}
        self._good_until: dict[str, float] = {}

    async def facts(self, repo: Repo, number: int) -> PullFacts | Later | Refused | None:
        """What is so now; None: there is no API to ask, or no token for it.

        An answer about another repository is refused: the name may have a new owner.
        """
        reader = await self._reader(repo)
        if reader is None or isinstance(reader, Later | Refused):
            return reader
        told = await reader.facts(repo, number)
        if isinstance(told, PullFacts) and told.base_repo != repo.external_id:
            return Refused(
                f"{repo.name} is repository {told.base_repo or 'none'} of the forge by now, and not"
                f" {repo.external_id}, which is registered; register it with its new name"
            )
        return told

    async def open_pulls(self, repo: Repo) -> Sequence[Event] | Later | Refused | None:
        """Those that are open now, as events without an action; None: as `facts`."""
        if self._now() < self._good_until.get(repo.id, 0.0):
            return self._open[repo.id].events
        reader = await self._reader(repo)
        if reader is None or isinstance(reader, Later | Refused):
            return reader
        before = self._open.get(repo.id, OpenPulls([]))
        told = await reader.open_pulls(repo, before.etag)
        match told:
            case Unchanged():
                return before.events
            case OpenPulls(events, etag, good_s):
                # What nobody can ask after again need not be kept.
                self._open.pop(repo.id, None)
                if etag or good_s:
                    self._open[repo.id] = told
                    self._good_until[repo.id] = self._now() + good_s
                return events
        return told

    async def may_write(self, repo: Repo, login: str) -> bool | Later | Refused | None:
        """Whether that login may push to the repository of that name now; None: as `facts`."""
        reader = await self._reader(repo)
        if reader is None or isinstance(reader, Later | Refused):
            return reader
        return await reader.may_write(repo, login)

    async def _reader(self, repo: Repo) -> PullReader | Later | Refused | None:
        connection = self._connections.find(repo.connection)
        if connection is None:
            return None
        asking = await self._apps.asking(connection, repo.name)
        return self._reader_of(asking) if isinstance(asking, Connection) else asking

    def _reader_of(self, connection: Connection) -> PullReader | None:
        if not connection.api_url or not connection.token:
            return None
        match connection.kind:
            case ForgeKind.GITHUB:
                return GitHubPulls(connection, self._client, self._now())
            case ForgeKind.GITEA:
                return GiteaPulls(connection, self._client, self._now())
            case ForgeKind.GITLAB:
                return GitLabPulls(connection, self._client, self._now())
            case ForgeKind.BITBUCKET:
                return BitbucketPulls(connection, self._client, self._now())
            case ForgeKind.BITBUCKET_DC:
                return BitbucketDcPulls(connection, self._client, self._now())
            case ForgeKind.GIT:
                return None
