"""What Gitea's and Forgejo's API says of a pull request and its author.

`GET /repos/{owner}/{repo}/pulls/{index}`, `…/collaborators/{user}/permission`, and the author's
closed pull requests: there is no word for somebody who is new, but what was merged is known.
"""

from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection, Repo
from pipelines.trust import Author, PullFacts
from webhooks.forge import Later, OpenPulls, Refused, Unchanged
from webhooks.open_pulls import pulls_of
from webhooks.rest import ForgeApi

MEMBERS = frozenset({"owner", "admin", "write"})
EARLIER_MAX = 50


class _Repository(msgspec.Struct):
    id: int


class _User(msgspec.Struct):
    login: str


class _Side(msgspec.Struct):
    ref: str
    sha: str
    repo_id: int = 0
    repo: _Repository | None = None


class _Pull(msgspec.Struct):
    head: _Side
    base: _Side
    state: str = "open"
    user: _User | None = None


class _Permission(msgspec.Struct):
    permission: str = "none"


class _Merged(msgspec.Struct):
    merged: bool = False


class _Earlier(msgspec.Struct):
    pull_request: _Merged | None = None


class GiteaPulls:
    """See PullReader."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        headers = {"Accept": "application/json", "Authorization": f"token {connection.token}"}
        base = f"{connection.api_url.rstrip('/').removesuffix('/api/v1')}/api/v1"
        self._api = ForgeApi(base, headers, client, now)

    async def facts(self, repo: Repo, number: int) -> PullFacts | Later | Refused:
        """See PullReader."""
        place = f"/repos/{quote(repo.name)}"
        pull = await self._api.get(f"{place}/pulls/{number}", _Pull)
        if not isinstance(pull, _Pull):
            return pull
        # A fork that was deleted has no repository; its id may be 0, or still be told.
        head_repo = None if pull.head.repo is None else str(pull.head.repo.id)
        base_repo = str(pull.base.repo_id or (pull.base.repo.id if pull.base.repo else ""))
        author = await self._author(place, pull, is_ours=head_repo == base_repo)
        if not isinstance(author, Author):
            return author
        return PullFacts(
            head_repo=head_repo,
            base_repo=base_repo,
            base_ref=pull.base.ref,
            head_ref=pull.head.ref,
            head_commit=pull.head.sha,
            author=author,
            login="" if pull.user is None else pull.user.login,
            is_open=pull.state == "open",
        )

    async def open_pulls(self, repo: Repo, known: str) -> OpenPulls | Unchanged | Later | Refused:
        """See PullReader."""
        asked = "state=open&sort=recentupdate&limit=50"
        path = f"/repos/{quote(repo.name)}/pulls?{asked}"
        return await pulls_of(self._api, path, known, titles_say_draft=True)

    async def may_write(self, repo: Repo, login: str) -> bool | Later | Refused:
        """See PullReader."""
        told = await self._permission(f"/repos/{quote(repo.name)}", login)
        return told.permission in MEMBERS if isinstance(told, _Permission) else told

    async def _permission(self, place: str, login: str) -> _Permission | Later | Refused:
        path = f"{place}/collaborators/{quote(login, safe='')}/permission"
        return await self._api.get(path, _Permission)

    async def _author(self, place: str, pull: _Pull, *, is_ours: bool) -> Author | Later | Refused:
        if is_ours:
            return Author.MEMBER
        if pull.user is None:
            return Author.NEWCOMER
        told = await self._permission(place, pull.user.login)
        if isinstance(told, Later):
            return told
        # A token that may not ask learns nothing, and nobody is a member because of that.
        if isinstance(told, _Permission) and told.permission in MEMBERS:
            return Author.MEMBER
        login = quote(pull.user.login, safe="")
        asked = f"type=pulls&state=closed&created_by={login}&limit={EARLIER_MAX}"
        earlier = await self._api.get(f"{place}/issues?{asked}", list[_Earlier])
        if isinstance(earlier, Later):
            return earlier
        taken = isinstance(earlier, list) and any(
            one.pull_request is not None and one.pull_request.merged for one in earlier
        )
        return Author.STRANGER if taken else Author.NEWCOMER
