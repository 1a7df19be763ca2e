"""Names: asks a Forge which repository has a name now. What follows is decided by whoever asks."""

import re
from collections.abc import Callable

import httpx2

from pipelines.repo import Connection, ForgeKind, Repo
from webhooks.forge import Connections, FoundRepo, Later, Refused
from webhooks.github.app import AppTokens
from webhooks.setup import NoPlace, place_of, setup_of

NAME_CHARS_MAX = 500

# `owner/name`; on GitLab with groups between, on Data Center a person's owner begins with a tilde.
_NAME = re.compile(r"~?(?!\.+/)[\w.-]+(?:/(?!\.+(?:/|\Z))[\w.-]+)+\Z", re.ASCII)


class ForgeNames:
    """All Connections over one HTTP client. Safe to use from many tasks at once."""

    def __init__(
        self,
        connections: Connections,
        client: httpx2.AsyncClient,
        apps: AppTokens,
        *,
        now: Callable[[], float],
    ) -> None:
        self._connections, self._client, self._now = connections, client, now
        self._apps = apps

    async def look_up(self, repo: Repo, name: str) -> FoundRepo | Later | Refused | None:
        """The repository of that name on the Forge of `repo`, as the token or the App sees it;
        None: there is no API to ask, or no token for it. `name` may come from a payload."""
        connection = self._connections.find(repo.connection)
        if connection is None or not connection.api_url or connection.kind is ForgeKind.GIT:
            return None
        if not (connection.token or connection.app):
            return None
        if name == repo.name and not _is_name(connection.kind, name):
            # Whoever registers by hand may leave the owner away, or say something else.
            name = _name_in(connection.kind, repo.clone_url)
        if not _is_name(connection.kind, name):
            return Refused(f"{name[:100]!r} is no name that a repository can have there")
        asking = await self._apps.asking(connection, name)
        if not isinstance(asking, Connection):
            return asking
        setup = setup_of(asking, self._client, self._now())
        return None if setup is None else await setup.look_up(name)


def _name_in(kind: ForgeKind, clone_url: str) -> str:
    """What its place calls a repository; empty: it says none."""
    try:
        return place_of(kind, clone_url).name
    except NoPlace:
        return ""


def _is_name(kind: ForgeKind, name: str) -> bool:
    """Whether it leads to a repository, and to nothing else of the API."""
    if len(name) > NAME_CHARS_MAX or not _NAME.match(name):
        return False
    return kind is ForgeKind.GITLAB or name.count("/") == 1
