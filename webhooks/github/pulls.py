"""What GitHub's API says of a pull request and its author.

REST: "Get a pull request", "Get repository permissions for a user". `author_association` is taken
from the API's answer to us, never from a payload.
"""

from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection, Repo
from pipelines.trust import Author, PullFacts
from webhooks.forge import Later, OpenPulls, Refused, Unchanged
from webhooks.open_pulls import pulls_of
from webhooks.rest import ForgeApi

MEMBERS = frozenset({"admin", "maintain", "write"})
NEWCOMERS = frozenset({"FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "NONE", "MANNEQUIN"})


class _Repository(msgspec.Struct):
    id: int


class _User(msgspec.Struct):
    login: str


class _Side(msgspec.Struct):
    ref: str
    sha: str
    repo: _Repository | None = None


class _Pull(msgspec.Struct):
    head: _Side
    base: _Side
    state: str = "open"
    author_association: str = "NONE"
    user: _User | None = None


class _Permission(msgspec.Struct):
    permission: str = "none"


class GitHubPulls:
    """See PullReader."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {connection.token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        self._api = ForgeApi(connection.api_url.rstrip("/"), headers, client, now)

    async def facts(self, repo: Repo, number: int) -> PullFacts | Later | Refused:
        """See PullReader."""
        place = f"/repos/{quote(repo.name)}"
        pull = await self._api.get(f"{place}/pulls/{number}", _Pull)
        if not isinstance(pull, _Pull):
            return pull
        base = pull.base.repo
        head_repo = None if pull.head.repo is None else str(pull.head.repo.id)
        author = await self._author(
            place, pull, is_ours=base is not None and head_repo == str(base.id)
        )
        if not isinstance(author, Author):
            return author
        return PullFacts(
            head_repo=head_repo,
            base_repo="" if base is None else str(base.id),
            base_ref=pull.base.ref,
            head_ref=pull.head.ref,
            head_commit=pull.head.sha,
            author=author,
            login="" if pull.user is None else pull.user.login,
            is_open=pull.state == "open",
        )

    async def open_pulls(self, repo: Repo, known: str) -> OpenPulls | Unchanged | Later | Refused:
        """See PullReader."""
        asked = "state=open&sort=updated&direction=desc&per_page=50"
        return await pulls_of(self._api, f"/repos/{quote(repo.name)}/pulls?{asked}", known)

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
            # The account is gone.
            return Author.NEWCOMER
        told = await self._permission(place, pull.user.login)
        if isinstance(told, Later):
            return told
        # A token that may not ask learns nothing, and nobody is a member because of that.
        if isinstance(told, _Permission) and told.permission in MEMBERS:
            return Author.MEMBER
        is_new = pull.author_association in NEWCOMERS
        return Author.NEWCOMER if is_new else Author.STRANGER
