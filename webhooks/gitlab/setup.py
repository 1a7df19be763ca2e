"""Having GitLab call us: "Project webhooks" API. A test sends the newest push of the project."""

from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection
from webhooks.forge import FoundRepo, Later, MadeHook, Refused, Tried
from webhooks.hook_of_repo import ours_of
from webhooks.rest import ForgeApi
from webhooks.signature import STANDARD_SECRET_PREFIX

# From Maintainer on somebody may change a project's webhooks.
MAINTAINER = 40


class _Access(msgspec.Struct):
    access_level: int = 0


class _Permissions(msgspec.Struct):
    project_access: _Access | None = None
    group_access: _Access | None = None


class _Project(msgspec.Struct):
    id: int
    path_with_namespace: str
    http_url_to_repo: str
    default_branch: str | None = None
    permissions: _Permissions | None = None


class _Hook(msgspec.Struct):
    id: int
    url: str = ""


class GitLabSetup:
    """See ForgeSetup. The token needs the scope `api` and the role Maintainer."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        headers = {"Accept": "application/json", "PRIVATE-TOKEN": connection.token}
        base = f"{connection.api_url.rstrip('/').removesuffix('/api/v4')}/api/v4"
        self._api = ForgeApi(base, headers, client, now)

    async def look_up(self, name: str) -> FoundRepo | Later | Refused:
        """See ForgeSetup."""
        found = await self._api.get(f"/projects/{quote(name, safe='')}", _Project)
        if not isinstance(found, _Project):
            return found
        return FoundRepo(
            str(found.id),
            found.path_with_namespace,
            found.http_url_to_repo,
            found.default_branch or "",
            _may_hook(found.permissions),
        )

    async def make_hook(self, repo: FoundRepo, url: str, secret: str) -> MadeHook | Later | Refused:
        """See ForgeSetup."""
        hooks = f"/projects/{repo.external_id}/hooks"
        there = await self._api.get(f"{hooks}?per_page=100", list[_Hook])
        if not isinstance(there, list):
            return there
        body: dict[str, object] = {
            "url": url,
            # A signing token is never sent as it is; GitLab 19.0 and newer sign with it.
            "signing_token" if secret.startswith(STANDARD_SECRET_PREFIX) else "token": secret,
            "push_events": True,
            "tag_push_events": True,
            "merge_requests_events": True,
            "note_events": True,
            "releases_events": True,
            "enable_ssl_verification": True,
        }
        ours = ours_of(there, lambda one: one.url, url)
        if ours is None:
            made = await self._api.send("POST", hooks, body, _Hook)
        else:
            made = await self._api.send("PUT", f"{hooks}/{ours.id}", body, _Hook)
        return MadeHook(str(made.id), ours is None) if isinstance(made, _Hook) else made

    async def test(self, repo: FoundRepo, hook: MadeHook) -> Tried | Later | Refused:
        """See ForgeSetup. GitLab waits for our answer before it gives its own."""
        place = f"/projects/{repo.external_id}/hooks/{hook.id}/test/push_events"
        asked = await self._api.send("POST", place, None, object)
        if isinstance(asked, Later):
            return asked
        if isinstance(asked, Refused):
            return Tried(False, f"GitLab could not deliver its newest push: {asked.reason}")
        return Tried(True, "GitLab delivered its newest push")


def _may_hook(permissions: _Permissions | None) -> bool | None:
    if permissions is None:
        return None
    found = (permissions.project_access, permissions.group_access)
    return any(one is not None and one.access_level >= MAINTAINER for one in found)
