"""Having GitHub call us: REST "repository webhooks". A ping tells whether a call arrives."""

from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection
from webhooks.forge import FoundRepo, Later, MadeHook, Refused, Tried
from webhooks.hook_of_repo import ours_of
from webhooks.rest import ForgeApi

# Those that `parse.py` takes.
EVENTS = ("issue_comment", "merge_group", "pull_request", "push", "release")


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


class _Delivered(msgspec.Struct):
    event: str = ""
    status: str = ""
    status_code: int = 0


class GitHubSetup:
    """See ForgeSetup. The token needs "Webhooks: write", classic ones `admin:repo_hook`."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {connection.token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        self._api = ForgeApi(connection.api_url.rstrip("/"), headers, client, now)

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
        there = await self._api.get(f"{hooks}?per_page=100", list[_Hook])
        if not isinstance(there, list):
            return there
        body: dict[str, object] = {
            "name": "web",
            "active": True,
            "events": list(EVENTS),
            "config": {"url": url, "content_type": "json", "secret": secret, "insecure_ssl": "0"},
        }
        ours = ours_of(there, lambda one: one.config.url, url)
        if ours is None:
            made = await self._api.send("POST", hooks, body, _Hook)
        else:
            del body["name"]
            made = await self._api.send("PATCH", f"{hooks}/{ours.id}", body, _Hook)
        return MadeHook(str(made.id), ours is None) if isinstance(made, _Hook) else made

    async def test(self, repo: FoundRepo, hook: MadeHook) -> Tried | Later | Refused:
        """See ForgeSetup. GitHub keeps what its calls were answered with."""
        place = f"/repos/{quote(repo.name)}/hooks/{hook.id}"
        asked = await self._api.send("POST", f"{place}/pings", None, object)
        if isinstance(asked, Later | Refused):
            return asked
        told = await self._api.get(f"{place}/deliveries?per_page=5", list[_Delivered])
        if not isinstance(told, list):
            return told
        ping = next((one for one in told if one.event == "ping"), None)
        if ping is None:
            return Tried(None, "GitHub has not sent its ping yet")
        arrived = 200 <= ping.status_code < 300
        return Tried(arrived, f"GitHub's ping was answered with {ping.status_code or ping.status}")
