"""What Bitbucket Data Center's API says of a pull request and its author.

REST: "Get pull request", "Get pull requests" of an author, and "Get all users" filtered by who may
write to a repository: effective permissions, of groups and projects too. What somebody is called
can be another's by tomorrow; in one answer of the API an account is known by its number.
"""

from contextlib import suppress
from urllib.parse import quote, urlencode

import httpx2
import msgspec

from pipelines.repo import Connection, Repo
from pipelines.trust import Author, PullFacts
from webhooks.bitbucket_dc.client import api_of, repository_path
from webhooks.bitbucket_dc.parse import PullShape, PullSide, event_of_pull
from webhooks.errors import Malformed
from webhooks.forge import Later, OpenPulls, Refused
from webhooks.rest import PAGES_MAX

# What Data Center gives at most in one page.
USERS_MAX = 1_000
OPEN_PER_PAGE = 50


class _Repository(msgspec.Struct):
    id: int


class _User(msgspec.Struct):
    id: int
    name: str


class _Side(msgspec.Struct, rename="camel"):
    id: str
    latest_commit: str
    repository: _Repository | None = None


class _Author(msgspec.Struct):
    user: _User | None = None


class _Pull(msgspec.Struct, rename="camel"):
    from_ref: _Side
    to_ref: _Side
    state: str = "OPEN"
    author: _Author | None = None


class _Users(msgspec.Struct):
    values: list[_User]


class _Pulls(msgspec.Struct):
    values: list[object]


class _Open(msgspec.Struct, rename="camel"):
    values: list[PullShape]
    is_last_page: bool = True
    next_page_start: int | None = None


class BitbucketDcPulls:
    """See PullReader. A `login` is the slug of an account, as it stands in addresses."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        self._api = api_of(connection, client, now)

    async def facts(self, repo: Repo, number: int) -> PullFacts | Later | Refused:
        """See PullReader."""
        place = repository_path(repo.name)
        if isinstance(place, Refused):
            return place
        pull = await self._api.get(f"{place}/pull-requests/{number}", _Pull)
        if not isinstance(pull, _Pull):
            return pull
        source, base = _id_of(pull.from_ref), _id_of(pull.to_ref)
        user = None if pull.author is None else pull.author.user
        author = await self._author(repo, place, user, is_ours=bool(base) and source == base)
        if not isinstance(author, Author):
            return author
        return PullFacts(
            head_repo=source or None,
            base_repo=base,
            base_ref=pull.to_ref.id.removeprefix("refs/heads/"),
            head_ref=pull.from_ref.id.removeprefix("refs/heads/"),
            head_commit=pull.from_ref.latest_commit,
            author=author,
            login="" if user is None else user.name,
            is_open=pull.state == "OPEN",
        )

    async def open_pulls(self, repo: Repo, known: str) -> OpenPulls | Later | Refused:
        """See PullReader. There are no etags: it is asked for the whole list each time."""
        place = repository_path(repo.name)
        if isinstance(place, Refused):
            return place
        found, start = OpenPulls([]), 0
        for _ in range(PAGES_MAX):
            wish = {"state": "OPEN", "order": "NEWEST", "limit": OPEN_PER_PAGE, "start": start}
            told = await self._api.get(f"{place}/pull-requests?{urlencode(wish)}", _Open)
            if not isinstance(told, _Open):
                return told
            if any(_id_of(one.to_ref) != repo.external_id for one in told.values):
                return Refused(f"{repo.name} is another repository by now; connect its new name")
            for one in told.values:
                # One with a name that git would not take has no commit that could be fetched.
                with suppress(Malformed):
                    found.events.append(event_of_pull(one))
            if told.is_last_page or told.next_page_start is None:
                break
            start = told.next_page_start
        return found

    async def may_write(self, repo: Repo, login: str) -> bool | Later | Refused:
        """See PullReader."""
        user = await self._api.get(f"/users/{quote(login, safe='')}", _User)
        return await self._writes(repo, user) if isinstance(user, _User) else user

    async def _author(
        self, repo: Repo, place: str, user: _User | None, *, is_ours: bool
    ) -> Author | Later | Refused:
        if is_ours:
            return Author.MEMBER
        if user is None:
            return Author.NEWCOMER
        told = await self._writes(repo, user)
        if isinstance(told, Later):
            return told
        # A token that may not ask learns nothing, and nobody is a member because of that.
        if told is True:
            return Author.MEMBER
        wish = urlencode(
            {"state": "MERGED", "role.1": "AUTHOR", "username.1": user.name, "limit": 1}
        )
        merged = await self._api.get(f"{place}/pull-requests?{wish}", _Pulls)
        if isinstance(merged, Later):
            return merged
        was_taken = isinstance(merged, _Pulls) and bool(merged.values)
        return Author.STRANGER if was_taken else Author.NEWCOMER

    async def _writes(self, repo: Repo, user: _User) -> bool | Later | Refused:
        """Whether this account is among those that may push to the repository of this number."""
        if not (repo.external_id.isascii() and repo.external_id.isdecimal()):
            return Refused(
                f"{repo.name} is registered with the id {repo.external_id!r}; Data Center's are"
                " numbers"
            )
        wish = {
            "filter": user.name,
            "permission": "LICENSED_USER",
            "permission.1": "REPO_WRITE",
            "permission.1.repositoryId": repo.external_id,
            "limit": USERS_MAX,
        }
        told = await self._api.get(f"/users?{urlencode(wish)}", _Users)
        # The filter finds parts of names, and of e-mail addresses too.
        return user in told.values if isinstance(told, _Users) else told


def _id_of(side: _Side | PullSide) -> str:
    return "" if side.repository is None else str(side.repository.id)
