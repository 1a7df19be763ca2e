"""The calls that GitHub could not deliver, as its API lists them, and asking for them again.

REST: "List deliveries for a repository webhook", "… for an app webhook", and "Redeliver a delivery"
of both. GitHub never tries by itself again; a delivery can be had for three days. Each attempt is
an entry of the list of its own, under the same guid.
"""

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection, Repo
from webhooks.forge import Later, Refused
from webhooks.github.app import HEADERS, app_jwt
from webhooks.hook_of_repo import ours_of
from webhooks.rest import ForgeApi, Listed

KEPT_S = 3 * 86_400.0
ATTEMPTS_MAX = 4
AGAIN_MAX = 100
# What was refused for what it is: it would be refused again.
HOPELESS = frozenset({400, 413})


class Attempt(msgspec.Struct, frozen=True):
    """One attempt to deliver a call. `status_code` 0: there was no answer."""

    id: int
    guid: str
    delivered_at: str = ""
    event: str = ""
    status_code: int = 0

    @property
    def at(self) -> float:
        """Seconds since the epoch; 0 where it cannot be read."""
        try:
            return datetime.fromisoformat(self.delivered_at).timestamp()
        except ValueError:
            return 0.0


class _Config(msgspec.Struct):
    url: str = ""


class _Hook(msgspec.Struct):
    id: int
    config: _Config = msgspec.field(default_factory=_Config)


class GitHubDeliveries:
    """Of one Connection. Never raises for what network or forge do."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        """Raises ValueError where an App's key is none."""
        proof = connection.token
        if connection.app:
            proof = app_jwt(connection.app, connection.app_key, now)
        headers = {**HEADERS, "Authorization": f"Bearer {proof}"}
        self._api = ForgeApi(connection.api_url.rstrip("/"), headers, client, now)
        self._now = now

    async def place_of(self, repo: Repo, url: str) -> str | Later | Refused:
        """Where the deliveries of a repository's webhook are that calls this URL."""
        hooks = f"/repos/{quote(repo.name)}/hooks"
        found = await self._api.get(f"{hooks}?per_page=100", list[_Hook])
        if not isinstance(found, list):
            return found
        ours = ours_of(found, lambda one: one.config.url, url)
        if ours is None:
            return Refused(
                f"{repo.name} has no webhook that calls {url}; `staunch connect` adds it"
            )
        return f"{hooks}/{ours.id}"

    async def ask_again(self, place: str, since: float) -> list[str] | Later | Refused:
        """Have every call sent again that arrived at no attempt since then; answers their guids.

        `place`: of a repository's webhook, or `/app/hook`. `since`: seconds since the epoch.
        """
        since = max(since, self._now - KEPT_S)
        told = await self._api.listed(
            f"{place}/deliveries?per_page=100", Attempt, enough=lambda one: one.at < since
        )
        if isinstance(told, Later | Refused):
            return told
        assert isinstance(told, Listed), "no etag was given"
        asked: list[str] = []
        for one in lost(told.items, since)[:AGAIN_MAX]:
            path = f"{place}/deliveries/{one.id}/attempts"
            answer = await self._api.send("POST", path, None, object)
            if isinstance(answer, Later):
                # The rest is asked for at the next look: nothing is remembered of them.
                return asked or answer
            if not isinstance(answer, Refused):
                asked.append(one.guid)
        return asked


def lost(attempts: Iterable[Attempt], since: float) -> list[Attempt]:
    """The newest attempt of each call that arrived by none, the oldest call first."""
    by_guid: dict[str, list[Attempt]] = {}
    for one in attempts:
        by_guid.setdefault(one.guid, []).append(one)
    found = []
    for tries in by_guid.values():
        arrived = any(200 <= one.status_code < 300 for one in tries)
        hopeless = any(one.status_code in HOPELESS for one in tries)
        newest = max(tries, key=lambda one: (one.at, one.id))
        if not arrived and not hopeless and len(tries) < ATTEMPTS_MAX and newest.at >= since:
            found.append(newest)
    return sorted(found, key=lambda one: (one.at, one.id))
