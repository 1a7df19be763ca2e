"""Missed calls: asks a forge to send again the calls that never arrived. GitHub alone has an API
for it; what one of another forge loses, its refs and its open pull requests tell."""

from collections.abc import Callable, Sequence

import httpx2

from pipelines.repo import Connection, ForgeKind, Repo
from webhooks.forge import Later, Refused
from webhooks.github.deliveries import GitHubDeliveries
from webhooks.hook_of_repo import hook_path

APP_HOOK = "/app/hook"


class MissedCalls:
    """All Connections over one HTTP client. `base_url`: of this installation."""

    def __init__(
        self, client: httpx2.AsyncClient, base_url: str, *, now: Callable[[], float]
    ) -> None:
        self._client, self._base_url, self._now = client, base_url, now

    async def ask_again(
        self, connection: Connection, repo: Repo | None, since: float
    ) -> Sequence[str] | Later | Refused | None:
        """The ids of the deliveries that are sent again, of those since then (seconds since the
        epoch). `repo`: those of its webhook; None: those of the Connection's App.

        None: there is no API to ask, or no token for it.
        """
        has_proof = bool(connection.app) if repo is None else bool(connection.token)
        if connection.kind is not ForgeKind.GITHUB or not connection.api_url or not has_proof:
            return None
        try:
            deliveries = GitHubDeliveries(connection, self._client, self._now())
        except ValueError as error:
            return Refused(f"{error}; set a new one")
        if repo is None:
            return await deliveries.ask_again(APP_HOOK, since)
        url = f"{self._base_url}{hook_path(connection.id, repo.external_id)}"
        place = await deliveries.place_of(repo, url)
        return await deliveries.ask_again(place, since) if isinstance(place, str) else place
