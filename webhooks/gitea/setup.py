"""Having Gitea or Forgejo call us: `/repos/{owner}/{repo}/hooks`. A test sends the newest push."""

from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection
from webhooks.forge import FoundRepo, Later, MadeHook, Refused, Tried
from webhooks.hook_of_repo import ours_of
from webhooks.rest import ForgeApi

# Gitea's names for what it calls us of; `pull_request_sync` are the commits that are pushed to one.
EVENTS = (
    "push",
    "create",
    "delete",
    "pull_request",
    "pull_request_sync",
    "pull_request_comment",
    "release",
)


class _Permissions(msgspec.Struct):
    admin: bool = False


class _Repository(msgspec.Struct):
    id: int
    full_name: str
    clone_url: str
    default_branch: str = ""
    permissions: _Permissions | None = None


class _Config(msgspec.Struct):
    url: str = ""


class _Hook(msgspec.Struct):
    id: int
    config: _Config = msgspec.field(default_factory=_Config)


class GiteaSetup:
    """See ForgeSetup. The token needs write access to the repository, as an administrator of it."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        headers = {"Accept": "application/json", "Authorization": f"token {connection.token}"}
        base = f"{connection.api_url.rstrip('/').removesuffix('/api/v1')}/api/v1"
        self._api = ForgeApi(base, headers, client, now)

    async def look_up(self, name: str) -> FoundRepo | Later | Refused:
        """See ForgeSetup."""
        found = await self._api.get(f"/repos/{quote(name)}", _Repository)
        if not isinstance(found, _Repository):
            return found
        may_hook = None if found.permissions is None else found.permissions.admin
        return FoundRepo(
            str(found.id), found.full_name, found.clone_url, found.default_branch, may_hook
        )

    async def make_hook(self, repo: FoundRepo, url: str, secret: str) -> MadeHook | Later | Refused:
        """See ForgeSetup."""
        hooks = f"/repos/{quote(repo.name)}/hooks"
        there = await self._api.get(f"{hooks}?limit=50", list[_Hook])
        if not isinstance(there, list):
            return there
        body: dict[str, object] = {
            "active": True,
            "branch_filter": "*",
            "events": list(EVENTS),
            "config": {"url": url, "content_type": "json", "secret": secret},
        }
        ours = ours_of(there, lambda one: one.config.url, url)
        if ours is None:
            made = await self._api.send("POST", hooks, {"type": "gitea", **body}, _Hook)
        else:
            made = await self._api.send("PATCH", f"{hooks}/{ours.id}", body, _Hook)
        return MadeHook(str(made.id), ours is None) if isinstance(made, _Hook) else made

    async def test(self, repo: FoundRepo, hook: MadeHook) -> Tried | Later | Refused:
        """See ForgeSetup. It answers before it has sent anything."""
        place = f"/repos/{quote(repo.name)}/hooks/{hook.id}/tests"
        asked = await self._api.send("POST", place, None, object)
        if isinstance(asked, Later | Refused):
            return asked
        return Tried(None, "Gitea was asked to send its newest push")
