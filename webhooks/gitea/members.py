"""What Gitea's and Forgejo's API says of what an account may do.

`GET /repos/{owner}/{repo}` and `…/collaborators/{collaborator}/permission`, as in their swagger.
"""

import httpx2

from pipelines.repo import Connection, Repo
from webhooks.forge import Account, Later, Permission, Refused
from webhooks.named_member import permission_by_name
from webhooks.rest import ForgeApi


class GiteaMembers:
    """See MemberReader."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        headers = {"Accept": "application/json", "Authorization": f"token {connection.token}"}
        base = f"{connection.api_url.rstrip('/').removesuffix('/api/v1')}/api/v1"
        self._api = ForgeApi(base, headers, client, now)

    async def permission(self, repo: Repo, who: Account) -> Permission | Later | Refused:
        """See MemberReader."""
        return await permission_by_name(self._api, repo, who)
