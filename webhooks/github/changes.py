"""Which repositories GitHub says were pushed to lately.

REST: "List repositories for the authenticated user", and for an App "List organization
repositories", both sorted by when they were pushed to. What a fork's pull request gets counts as a
push: its head is a hidden ref of the repository. An App that is installed at a person's account has
no such list.
"""

from datetime import datetime
from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection
from webhooks.change_stamps import LATELY_PAGES_MAX, WHOLE_PAGES_MAX, seconds_of, stamps_of
from webhooks.forge import Changed, Later, Refused, Unchanged
from webhooks.rest import ForgeApi

_SORTED = "sort=pushed&direction=desc&per_page=100"


class _Repository(msgspec.Struct):
    id: int
    # An empty one has none.
    pushed_at: datetime | None = None


class GitHubChanges:
    """See ChangeReader. `owner`: the organisation whose list it is; empty: the token's own."""

    def __init__(
        self, connection: Connection, owner: str, client: httpx2.AsyncClient, now: float
    ) -> None:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {connection.token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        self._api = ForgeApi(connection.api_url.rstrip("/"), headers, client, now)
        self._place = f"/orgs/{quote(owner, safe='')}/repos" if owner else "/user/repos"

    async def changed(self, since: float, *, whole: bool) -> Changed | Later | Refused:
        """See ChangeReader."""
        told = await self._api.listed(
            f"{self._place}?{_SORTED}",
            _Repository,
            enough=lambda one: not whole and seconds_of(one.pushed_at) < since,
            pages_max=WHOLE_PAGES_MAX if whole else LATELY_PAGES_MAX,
        )
        assert not isinstance(told, Unchanged), "nothing was known before"
        if isinstance(told, Later | Refused):
            return told
        stamps = stamps_of((one.id, one.pushed_at) for one in told.items)
        return Changed(stamps, heads=True, is_whole=told.is_whole)
