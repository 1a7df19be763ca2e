"""Which repositories Gitea and Forgejo say were pushed to lately, and which have new pull requests.

`GET /repos/search?sort=updated`: every push moves that time. Of a mirror it is that of its newest
commit, which may be old, so mirrors are left out. Pull requests move it not; those that are new are
in `GET /repos/issues/search?type=pulls`, new commits of one may not be.
"""

from datetime import UTC, datetime
from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection
from webhooks.change_stamps import LATELY_PAGES_MAX, WHOLE_PAGES_MAX, seconds_of, stamps_of
from webhooks.forge import Changed, Later, Refused, Unchanged
from webhooks.rest import ForgeApi

# As many as a server gives that nobody has set up otherwise.
PAGE = 50


class _Repository(msgspec.Struct):
    id: int
    updated_at: datetime | None = None
    mirror: bool = False


class _Found(msgspec.Struct):
    data: list[_Repository] | None = None


class _Place(msgspec.Struct):
    id: int


class _Pull(msgspec.Struct):
    updated_at: datetime | None = None
    repository: _Place | None = None


class GiteaChanges:
    """See ChangeReader."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        headers = {"Accept": "application/json", "Authorization": f"token {connection.token}"}
        base = f"{connection.api_url.rstrip('/').removesuffix('/api/v1')}/api/v1"
        self._api = ForgeApi(base, headers, client, now)

    async def changed(self, since: float, *, whole: bool) -> Changed | Later | Refused:
        """See ChangeReader."""
        pulls = await self._pulls(since) if since else {}
        if isinstance(pulls, Later | Refused):
            return pulls
        found: list[_Repository] = []
        for page in range(1, (WHOLE_PAGES_MAX if whole else LATELY_PAGES_MAX) + 1):
            path = f"/repos/search?sort=updated&order=desc&limit={PAGE}&page={page}"
            told = await self._api.get(path, _Found)
            if not isinstance(told, _Found):
                return told
            more = told.data or []
            found += more
            # A server may give fewer in a page than it is asked for.
            if not more or (not whole and seconds_of(more[-1].updated_at) < since):
                return Changed(_stamps(found), pulls)
        return Changed(_stamps(found), pulls, is_whole=False)

    async def _pulls(self, since: float) -> dict[str, float] | Later | Refused:
        at = quote(datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        path = f"/repos/issues/search?type=pulls&state=open&since={at}&limit={PAGE}"
        told = await self._api.listed(path, _Pull, pages_max=LATELY_PAGES_MAX)
        assert not isinstance(told, Unchanged), "nothing was known before"
        if isinstance(told, Later | Refused):
            return told
        if not told.is_whole:
            return Later("more pull requests have changed than are read")
        newest: dict[str, float] = {}
        for one in told.items:
            if one.repository is not None:
                repo = str(one.repository.id)
                newest[repo] = max(newest.get(repo, 0.0), seconds_of(one.updated_at))
        return newest


def _stamps(found: list[_Repository]) -> dict[str, float]:
    return stamps_of((one.id, one.updated_at) for one in found if not one.mirror)
