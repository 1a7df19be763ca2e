"""In which projects GitLab says that something happened lately.

`GET /projects?membership=true&order_by=last_activity_at`. GitLab moves that time only if it is an
hour old: what happens in the hour after it is not told of. A merge request that is opened moves it,
new commits of one from a fork do not.
"""

from datetime import datetime

import httpx2
import msgspec

from pipelines.repo import Connection
from webhooks.change_stamps import LATELY_PAGES_MAX, WHOLE_PAGES_MAX, seconds_of, stamps_of
from webhooks.forge import Changed, Later, Refused, Unchanged
from webhooks.rest import ForgeApi

_ASKED = "membership=true&simple=true&order_by=last_activity_at&sort=desc&per_page=100"


class _Project(msgspec.Struct):
    id: int
    last_activity_at: datetime | None = None


class GitLabChanges:
    """See ChangeReader."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        headers = {"Accept": "application/json", "PRIVATE-TOKEN": connection.token}
        base = f"{connection.api_url.rstrip('/').removesuffix('/api/v4')}/api/v4"
        self._api = ForgeApi(base, headers, client, now)

    async def changed(self, since: float, *, whole: bool) -> Changed | Later | Refused:
        """See ChangeReader."""
        told = await self._api.listed(
            f"/projects?{_ASKED}",
            _Project,
            enough=lambda one: not whole and seconds_of(one.last_activity_at) < since,
            pages_max=WHOLE_PAGES_MAX if whole else LATELY_PAGES_MAX,
        )
        assert not isinstance(told, Unchanged), "nothing was known before"
        if isinstance(told, Later | Refused):
            return told
        stamps = stamps_of((one.id, one.last_activity_at) for one in told.items)
        return Changed(stamps, is_whole=told.is_whole)
