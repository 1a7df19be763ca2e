"""Having Bitbucket Data Center call us: "Webhooks" of a repository, and "Test webhook".

The test is a ping that the server sends at once; it tells what it was answered with. Servers that
sign no ping get a 401 for it, and that too shows that they reach us.
"""

from urllib.parse import quote, urlencode

import httpx2
import msgspec

from pipelines.repo import Connection
from webhooks.bitbucket_dc.client import api_of, repository_path
from webhooks.bitbucket_dc.parse import COMMENT, PULL_REQUEST_ACTIONS, REFS_CHANGED
from webhooks.forge import FoundRepo, Later, MadeHook, Refused, Tried
from webhooks.hook_of_repo import ours_of
from webhooks.rest import without_user

EVENTS = (REFS_CHANGED, *PULL_REQUEST_ACTIONS, COMMENT)
# What Data Center gives at most in one page.
HOOKS_MAX = 1_000


class _Link(msgspec.Struct):
    href: str = ""
    name: str = ""


class _Links(msgspec.Struct):
    clone: list[_Link] = []


class _Project(msgspec.Struct):
    key: str


class _Repository(msgspec.Struct):
    id: int
    slug: str
    project: _Project
    links: _Links


class _Hook(msgspec.Struct):
    id: int
    url: str = ""


class _Hooks(msgspec.Struct):
    values: list[_Hook]


class _Answer(msgspec.Struct, rename="camel"):
    status_code: int = 0


class _Tested(msgspec.Struct):
    response: _Answer | None = None


class BitbucketDcSetup:
    """See ForgeSetup. The token needs "Repository admin"."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        self._api = api_of(connection, client, now)

    async def look_up(self, name: str) -> FoundRepo | Later | Refused:
        """See ForgeSetup. What the token may do with webhooks is not told."""
        place = repository_path(name)
        if isinstance(place, Refused):
            return place
        found = await self._api.get(place, _Repository)
        if not isinstance(found, _Repository):
            return found
        clone_url = next((one.href for one in found.links.clone if one.name == "http"), "")
        name = f"{found.project.key}/{found.slug}"
        return FoundRepo(str(found.id), name, without_user(clone_url))

    async def make_hook(self, repo: FoundRepo, url: str, secret: str) -> MadeHook | Later | Refused:
        """See ForgeSetup."""
        place = repository_path(repo.name)
        if isinstance(place, Refused):
            return place
        hooks = f"{place}/webhooks"
        there = await self._api.get(f"{hooks}?limit={HOOKS_MAX}", _Hooks)
        if not isinstance(there, _Hooks):
            return there
        body: dict[str, object] = {
            "name": "Staunch",
            "url": url,
            "active": True,
            "events": list(EVENTS),
            "configuration": {"secret": secret},
            "sslVerificationRequired": True,
        }
        ours = ours_of(there.values, lambda one: one.url, url)
        if ours is None:
            made = await self._api.send("POST", hooks, body, _Hook)
        else:
            made = await self._api.send("PUT", f"{hooks}/{ours.id}", body, _Hook)
        return MadeHook(str(made.id), ours is None) if isinstance(made, _Hook) else made

    async def test(self, repo: FoundRepo, hook: MadeHook) -> Tried | Later | Refused:
        """See ForgeSetup. The server waits for our answer before it gives its own."""
        place = repository_path(repo.name)
        if isinstance(place, Refused):
            return place
        hooks = f"{place}/webhooks"
        there = await self._api.get(f"{hooks}/{quote(hook.id, safe='')}", _Hook)
        if not isinstance(there, _Hook):
            return there
        wish = urlencode({"url": there.url, "webhookId": hook.id})
        told = await self._api.send("POST", f"{hooks}/test?{wish}", None, _Tested)
        if isinstance(told, Later):
            return told
        if isinstance(told, Refused):
            return Tried(False, f"Bitbucket could not deliver its ping: {told.reason}")
        return _tried(0 if told.response is None else told.response.status_code)


def _tried(code: int) -> Tried | Refused:
    if 200 <= code < 300:
        return Tried(True, f"Bitbucket's ping was answered with {code}")
    if code == 401:
        return Refused(
            "this server signs no ping, but it reaches Staunch (401); push a commit, and"
            " `staunch deliveries` shows whether its calls are signed"
        )
    if code == 0:
        return Refused(
            "the server does not say what its ping was answered with; push a commit, and"
            " `staunch deliveries` shows its call"
        )
    return Tried(False, f"Bitbucket's ping was answered with {code}")
