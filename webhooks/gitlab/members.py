"""What GitLab's API says of what an account may do.

`GET /projects/:id/members/all/:user_id`, inherited and invited members included. Both are ids, so
no name can have a new owner. A guest may not read a private project's code, and so reads nothing.
"""

from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection, Repo
from webhooks.forge import Account, Later, Permission, Refused
from webhooks.rest import ForgeApi

REPORTER, DEVELOPER, MAINTAINER = 20, 30, 40


class _Member(msgspec.Struct):
    id: int
    access_level: int = 0
    state: str = ""


class GitLabMembers:
    """See MemberReader."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        headers = {"Accept": "application/json", "PRIVATE-TOKEN": connection.token}
        base = f"{connection.api_url.rstrip('/').removesuffix('/api/v4')}/api/v4"
        self._api = ForgeApi(base, headers, client, now)

    async def permission(self, repo: Repo, who: Account) -> Permission | Later | Refused:
        """See MemberReader."""
        project = quote(repo.external_id.rpartition("/")[2], safe="")
        told = await self._api.get(
            f"/projects/{project}/members/all/{quote(who.id, safe='')}", _Member
        )
        if not isinstance(told, _Member):
            return told
        if told.state != "active" or str(told.id) != who.id:
            return Permission.NONE
        if told.access_level >= MAINTAINER:
            return Permission.ADMIN
        if told.access_level >= DEVELOPER:
            return Permission.WRITE
        return Permission.READ if told.access_level >= REPORTER else Permission.NONE
