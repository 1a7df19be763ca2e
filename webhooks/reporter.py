"""Reporter: tells a Status to the forge it belongs to, and says when to try again.

It keeps nothing: whoever calls it owns the queue, its order per (commit, context), and the number
of attempts. The waiting policy is here, pure, so that it can be read and tested.
"""

from collections.abc import Callable

import httpx2

from pipelines.repo import Connection, ForgeKind
from pipelines.status import Status
from webhooks.bitbucket.client import BitbucketStatuses
from webhooks.bitbucket_dc.client import BitbucketDcStatuses
from webhooks.forge import Connections, Later, Refused, SendLater, Sent, StatusClient, Told
from webhooks.gitea.client import GiteaStatuses
from webhooks.github.app import AppTokens
from webhooks.github.checks import GitHubChecks, KnownChecks
from webhooks.github.client import GitHubStatuses
from webhooks.gitlab.client import GitLabStatuses

BACKOFF_S_FIRST = 1.0
BACKOFF_S_MAX = 60.0


def backoff_s(attempt: int, dice: float) -> float:
    """How long to wait after the failed `attempt` (from 1): 1 s doubling to 60 s.

    `dice` in [0, 1) spreads it over the upper half, so that many senders do not come back at once.
    """
    assert attempt >= 1 and 0 <= dice < 1
    # The exponent is bounded before it is one: after a week of attempts 2.0 ** n overflows.
    full = min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2.0 ** min(attempt - 1, 16))
    return full * (0.5 + dice / 2)


def shows_reports_of(connection: Connection) -> bool:
    """Whether its commits show what jobs say of them: summaries, and annotations of lines."""
    return bool(connection.app) or connection.kind in (ForgeKind.BITBUCKET, ForgeKind.BITBUCKET_DC)


class StatusSender:
    """Sends Statuses of all Connections over one HTTP client.

    `dice` gives a number in [0, 1) for the jitter. Safe to use from many tasks at once.
    """

    def __init__(
        self,
        connections: Connections,
        client: httpx2.AsyncClient,
        *,
        now: Callable[[], float],
        dice: Callable[[], float],
    ) -> None:
        self._connections, self._client = connections, client
        self._now, self._dice = now, dice
        self._older_bitbuckets: set[str] = set()
        self._tokens, self._checks = AppTokens(client, now), KnownChecks()

    async def send(self, status: Status, *, attempt: int = 1) -> Sent | SendLater | Refused:
        """Tell it once. `attempt` counts from 1 and only decides how long to wait."""
        connection = self._connections.find(status.connection)
        if connection is None:
            return Refused(f"connection {status.connection!r} is not configured any more")
        told = await self._tell(connection, status)
        if isinstance(told, Later):
            # The forge's own wish counts, but never makes us faster than the schedule.
            wait = max(backoff_s(attempt, self._dice()), told.retry_after_s or 0.0)
            return SendLater(told.reason, wait, told.broke)
        return told

    async def _tell(self, connection: Connection, status: Status) -> Told:
        client = self._client_of(connection)
        if client is None:
            return Refused(
                f"connection {connection.id!r} takes no statuses: it has no api_url and token, or"
                " App",
                nobody=True,
            )
        return await client.post_status(status)

    def _client_of(self, connection: Connection) -> StatusClient | None:
        if connection.api_url and connection.app and connection.kind is ForgeKind.GITHUB:
            return GitHubChecks(connection, self._client, self._tokens, self._checks, self._now)
        if not connection.api_url or not connection.token:
            return None
        match connection.kind:
            case ForgeKind.GITHUB:
                return GitHubStatuses(connection, self._client, self._now)
            case ForgeKind.GITEA:
                return GiteaStatuses(connection, self._client, self._now)
            case ForgeKind.GITLAB:
                return GitLabStatuses(connection, self._client, self._now)
            case ForgeKind.BITBUCKET:
                return BitbucketStatuses(connection, self._client, self._now)
            case ForgeKind.BITBUCKET_DC:
                older = self._older_bitbuckets
                return BitbucketDcStatuses(connection, self._client, self._now, older)
            case ForgeKind.GIT:
                # Plain git has no statuses; an api_url beside it is one that speaks Gitea's.
                return GiteaStatuses(connection, self._client, self._now)
