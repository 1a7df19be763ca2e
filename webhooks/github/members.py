"""What GitHub's API says of what an account may do.

REST: "Get a repository", "Get repository permissions for a user".
"""

import httpx2

from pipelines.repo import Connection, Repo
from webhooks.forge import Account, Later, Permission, Refused
from webhooks.named_member import permission_by_name
from webhooks.rest import ForgeApi


class GitHubMembers:
    """See MemberReader."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {connection.token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        self._api = ForgeApi(connection.api_url.rstrip("/"), headers, client, now)

    async def permission(self, repo: Repo, who: Account) -> Permission | Later | Refused:
        """See MemberReader."""
        return await permission_by_name(self._api, repo, who)
