"""GitHub's commit statuses, over its REST API."""

from collections.abc import Callable

import httpx2

from pipelines.repo import Connection
from pipelines.status import Status
from webhooks.forge import Told
from webhooks.status_api import post


class GitHubStatuses:
    """See StatusClient. Works for github.com and for Enterprise Server (`…/api/v3`)."""

    def __init__(
        self, connection: Connection, client: httpx2.AsyncClient, now: Callable[[], float]
    ) -> None:
        self._api = connection.api_url.rstrip("/")
        self._client, self._now = client, now
        self._headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {connection.token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    async def post_status(self, status: Status) -> Told:
        """See StatusClient."""
        url = f"{self._api}/repos/{status.repo_name}/statuses/{status.commit}"
        return await post(self._client, url, self._headers, status, now=self._now())
