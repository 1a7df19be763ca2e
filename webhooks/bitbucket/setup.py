"""Having Bitbucket Cloud call us: "Create a webhook for a repository". It tries none when asked."""

from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection
from webhooks.bitbucket.api import bitbucket_api, repository_part
from webhooks.bitbucket.parse import COMMENT, PULL_REQUEST_ACTIONS, PUSH, repository_uuid
from webhooks.errors import Malformed
from webhooks.forge import FoundRepo, Later, MadeHook, Refused, Tried
from webhooks.hook_of_repo import ours_of
from webhooks.rest import without_user
from webhooks.status_api import is_repo_name

EVENTS = (PUSH, *PULL_REQUEST_ACTIONS, COMMENT)


class _Link(msgspec.Struct):
    href: str = ""
    name: str = ""


class _Links(msgspec.Struct):
    clone: list[_Link] = []


class _Branch(msgspec.Struct):
    name: str = ""


class _Repository(msgspec.Struct):
    uuid: str
    full_name: str
    links: _Links
    mainbranch: _Branch | None = None


class _Hook(msgspec.Struct):
    uuid: str
    url: str = ""


class _Hooks(msgspec.Struct):
    values: list[_Hook]


class BitbucketSetup:
    """See ForgeSetup. The token needs the scopes of the repository, its pull requests, and
    webhooks."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        self._api = bitbucket_api(connection, client, now)

    async def look_up(self, name: str) -> FoundRepo | Later | Refused:
        """See ForgeSetup. What the token may do with webhooks is not told."""
        if not is_repo_name(name):
            return Refused(f"{name[:200]!r} is no name; one is <workspace>/<repository>")
        found = await self._api.get(f"/repositories/{quote(name)}", _Repository)
        if not isinstance(found, _Repository):
            return found
        clone_url = next((one.href for one in found.links.clone if one.name == "https"), "")
        try:
            identity = repository_uuid(found.uuid)
        except Malformed as error:
            return Refused(str(error))
        return FoundRepo(
            identity,
            found.full_name,
            without_user(clone_url),
            "" if found.mainbranch is None else found.mainbranch.name,
        )

    async def make_hook(self, repo: FoundRepo, url: str, secret: str) -> MadeHook | Later | Refused:
        """See ForgeSetup."""
        part = repository_part(repo.name, repo.external_id)
        if isinstance(part, Refused):
            return part
        hooks = f"/repositories/{part[0]}/{part[1]}/hooks"
        there = await self._api.get(f"{hooks}?pagelen=100", _Hooks)
        if not isinstance(there, _Hooks):
            return there
        body: dict[str, object] = {
            "description": "Staunch",
            "url": url,
            "active": True,
            "secret": secret,
            "events": list(EVENTS),
        }
        ours = ours_of(there.values, lambda one: one.url, url)
        if ours is None:
            made = await self._api.send("POST", hooks, body, _Hook)
        else:
            made = await self._api.send("PUT", f"{hooks}/{quote(ours.uuid)}", body, _Hook)
        return MadeHook(made.uuid, ours is None) if isinstance(made, _Hook) else made

    async def test(self, repo: FoundRepo, hook: MadeHook) -> Tried | Later | Refused:
        """See ForgeSetup. There is no such call."""
        return Refused(
            "Bitbucket Cloud has no call for that; push a commit, and `staunch deliveries` shows"
            " its repo:push"
        )
