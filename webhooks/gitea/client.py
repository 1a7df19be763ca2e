"""Gitea's and Forgejo's commit statuses, over their REST API."""

from collections.abc import Callable

import httpx2

from pipelines.repo import Connection
from pipelines.status import Status
from webhooks.forge import Told
from webhooks.status_api import post


class GiteaStatuses:
    """See StatusClient. `api_url` is the server's own URL, with or without `/api/v1`."""

    def __init__(
        self, connection: Connection, client: httpx2.AsyncClient, now: Callable[[], float]
    ) -> None:
        self._api = connection.api_url.rstrip("/").removesuffix("/api/v1")
        self._client, self._now = client, now
        self._headers = {
            "Accept": "application/json",
            "Authorization": f"token {connection.token}",
        }

    async def post_status(self, status: Status) -> Told:
        """See StatusClient."""
        url = f"{self._api}/api/v1/repos/{status.repo_name}/statuses/{status.commit}"
        return await post(self._client, url, self._headers, status, now=self._now())
