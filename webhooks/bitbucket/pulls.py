"""What Bitbucket Cloud's API says of a pull request and its author.

REST: "Get a pull request" and its commits (its own hashes are cut to 12 digits), "List a repository
permissions for a workspace", which are effective ones and told to administrators of the repository
alone, and "Get an explicit user permission". People are known by their UUIDs: what they are called
there is not unique.
"""

from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

import httpx2
import msgspec

from pipelines.refs import SHORT_DIGITS_MIN, is_commit, is_ref
from pipelines.repo import Connection, Repo
from pipelines.trust import Author, PullFacts
from webhooks.bitbucket.api import bitbucket_api, repository_part
from webhooks.bitbucket.parse import PullRequestBody, event_of_pull, repository_uuid
from webhooks.errors import Malformed
from webhooks.forge import Later, OpenPulls, Refused
from webhooks.rest import PAGES_MAX
from webhooks.status_api import is_repo_name

# In one page, and newest first: that of the head is among the first.
COMMITS_MAX = 50
OPEN_PER_PAGE = 50
# A token has 1,000 calls an hour, for builds and comments too.
LIST_GOOD_S = 3_600.0
MEMBERS = frozenset({"admin", "write"})


class _Repository(msgspec.Struct):
    uuid: str
    full_name: str | None = None


class _User(msgspec.Struct):
    uuid: str = ""
    nickname: str | None = None
    display_name: str | None = None


class _Branch(msgspec.Struct):
    name: str


class _Commit(msgspec.Struct):
    hash: str


class _Side(msgspec.Struct):
    branch: _Branch
    commit: _Commit | None = None
    repository: _Repository | None = None


class _Pull(msgspec.Struct):
    source: _Side
    destination: _Side
    state: str = "OPEN"
    author: _User | None = None


class _Commits(msgspec.Struct):
    values: list[_Commit]


class _Permission(msgspec.Struct):
    permission: str = "none"
    user: _User | None = None
    repository: _Repository | None = None


class _Permissions(msgspec.Struct):
    values: list[_Permission]


class _Pulls(msgspec.Struct):
    values: list[object]


class _Open(msgspec.Struct):
    values: list[PullRequestBody]
    # An address, of which only that it is there counts.
    next: str = ""


@dataclass(frozen=True, slots=True)
class SourceBranch:
    """Where the commits of a pull request are: a repository's `<workspace>/<slug>` of today, empty
    where it is the one that the pull request is for, and the branch in it."""

    name: str
    branch: str


class BitbucketPulls:
    """See PullReader. A `login` is the UUID of an account, with or without braces."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        self._api = bitbucket_api(connection, client, now)

    async def facts(self, repo: Repo, number: int) -> PullFacts | Later | Refused:
        """See PullReader."""
        part = repository_part(repo.name, repo.external_id)
        if isinstance(part, Refused):
            return part
        place = f"/repositories/{part[0]}/{part[1]}"
        pull = await self._api.get(f"{place}/pullrequests/{number}", _Pull)
        if not isinstance(pull, _Pull):
            return pull
        head = await self._head(place, number, pull)
        if not isinstance(head, str):
            return head
        source, base = _id_of(pull.source.repository), _id_of(pull.destination.repository)
        author = await self._author(repo, place, pull, is_ours=bool(base) and source == base)
        if not isinstance(author, Author):
            return author
        user = pull.author
        return PullFacts(
            head_repo=source or None,
            base_repo=base,
            base_ref=pull.destination.branch.name,
            head_ref=pull.source.branch.name,
            head_commit=head,
            author=author,
            login="" if user is None else user.nickname or user.display_name or user.uuid,
            is_open=pull.state == "OPEN",
        )

    async def source(self, repo: Repo, number: int) -> SourceBranch | Later | Refused:
        """Where its commits are now, by the answers of the API alone."""
        part = repository_part(repo.name, repo.external_id)
        if isinstance(part, Refused):
            return part
        pull = await self._api.get(
            f"/repositories/{part[0]}/{part[1]}/pullrequests/{number}", _Pull
        )
        if not isinstance(pull, _Pull):
            return pull
        source, branch = pull.source.repository, pull.source.branch.name
        if _id_of(pull.destination.repository) != repo.external_id:
            return Refused(f"pull request {number} is for another repository than {repo.name}")
        if source is None:
            return Refused(f"pull request {number} comes from a repository that is gone")
        if not is_ref(f"refs/heads/{branch}"):
            return Refused(f"{branch[:80]!r} is no branch that git would accept")
        if _id_of(source) == repo.external_id:
            return SourceBranch("", branch)
        name = source.full_name or ""
        if not is_repo_name(name):
            return Refused(
                f"pull request {number} comes from {name[:80]!r}, which is no repository"
            )
        return SourceBranch(name, branch)

    async def open_pulls(self, repo: Repo, known: str) -> OpenPulls | Later | Refused:
        """See PullReader. Commits are cut to 12 digits, and are sought as those of payloads are."""
        part = repository_part(repo.name, repo.external_id)
        if isinstance(part, Refused):
            return part
        found = OpenPulls([], good_s=LIST_GOOD_S)
        for page in range(1, PAGES_MAX + 1):
            wish = f"state=OPEN&sort=-updated_on&pagelen={OPEN_PER_PAGE}&page={page}"
            path = f"/repositories/{part[0]}/{part[1]}/pullrequests?{wish}"
            told = await self._api.get(path, _Open)
            if not isinstance(told, _Open):
                return told
            for one in told.values:
                # One with a name that git would not take has no commit that could be fetched.
                with suppress(Malformed):
                    if (event := event_of_pull(one, repo.external_id)) is not None:
                        found.events.append(event)
            if not told.next:
                break
        return found

    async def may_write(self, repo: Repo, login: str) -> bool | Later | Refused:
        """See PullReader."""
        try:
            who = repository_uuid(login)
        except Malformed:
            return Refused(f"{login[:80]!r} is no UUID of an account of Bitbucket")
        told = await self._permission(repo, who)
        return told in MEMBERS if isinstance(told, str) else told

    async def _head(self, place: str, number: int, pull: _Pull) -> str | Later | Refused:
        """The full id of the newest commit; empty: it has none."""
        if pull.source.commit is None:
            return ""
        if is_commit(pull.source.commit.hash):
            return pull.source.commit.hash
        path = f"{place}/pullrequests/{number}/commits?pagelen={COMMITS_MAX}"
        told = await self._api.get(path, _Commits)
        if not isinstance(told, _Commits):
            return told
        cut = pull.source.commit.hash
        found = {one.hash for one in told.values if is_commit(one.hash)}
        ours = [one for one in found if len(cut) >= SHORT_DIGITS_MIN and one.startswith(cut)]
        if len(ours) != 1:
            return Refused(f"the commit {cut[:40]!r} of pull request {number} is not told in full")
        return ours[0]

    async def _author(
        self, repo: Repo, place: str, pull: _Pull, *, is_ours: bool
    ) -> Author | Later | Refused:
        if is_ours:
            return Author.MEMBER
        try:
            # It goes into a query, and an account that is gone has none.
            who = repository_uuid(pull.author.uuid if pull.author is not None else "")
        except Malformed:
            return Author.NEWCOMER
        told = await self._permission(repo, who)
        if isinstance(told, Later):
            return told
        # A token that may not ask learns nothing, and nobody is a member because of that.
        if isinstance(told, str) and told in MEMBERS:
            return Author.MEMBER
        wish = quote(f'state="MERGED" AND author.uuid="{{{who}}}"', safe="")
        merged = await self._api.get(f"{place}/pullrequests?pagelen=1&q={wish}", _Pulls)
        if isinstance(merged, Later):
            return merged
        was_taken = isinstance(merged, _Pulls) and bool(merged.values)
        return Author.STRANGER if was_taken else Author.NEWCOMER

    async def _permission(self, repo: Repo, who: str) -> str | Later | Refused:
        """What an account may do, whether of itself or by a group; `who`: a UUID without braces."""
        part = repository_part(repo.name, repo.external_id)
        if isinstance(part, Refused):
            return part
        workspace, repository = part
        wish = quote(f'user.uuid="{{{who}}}"', safe="")
        path = f"/workspaces/{workspace}/permissions/repositories/{repository}?q={wish}"
        told = await self._api.get(path, _Permissions)
        if isinstance(told, _Permissions):
            ours = [one for one in told.values if _is_about(one, who, repo)]
            return ours[0].permission if len(ours) == 1 else "none"
        if isinstance(told, Later):
            return told
        # A token of the repository alone may know no workspace; what was given to somebody by
        # name it may know nevertheless, and of groups it then knows nothing.
        user = quote(f"{{{who}}}")
        path = f"/repositories/{workspace}/{repository}/permissions-config/users/{user}"
        explicit = await self._api.get(path, _Permission)
        if isinstance(explicit, Later):
            return explicit
        if isinstance(explicit, _Permission) and explicit.permission in MEMBERS:
            return explicit.permission if _id_of(explicit.user) == who else "none"
        return told


def _is_about(told: _Permission, who: str, repo: Repo) -> bool:
    return _id_of(told.user) == who and _id_of(told.repository) == repo.external_id


def _id_of(one: _Repository | _User | None) -> str:
    """A UUID as we write it; empty: there is none."""
    try:
        return repository_uuid(one.uuid) if one is not None else ""
    except Malformed:
        return ""
