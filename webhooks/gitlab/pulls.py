"""What GitLab's API says of a merge request and its author.

`GET /projects/:id/merge_requests/:iid` (`first_contribution` is told of a single one), and
`GET /projects/:id/members/all/:user_id`, inherited and invited members included. Whose login it
is says `GET /users?username=`.
"""

from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection, Repo
from pipelines.trust import Author, PullFacts
from webhooks.forge import Later, OpenPulls, Refused, Unchanged
from webhooks.open_pulls import merge_requests_of
from webhooks.rest import ForgeApi

# From Developer on somebody may push to branches.
DEVELOPER = 30


class _User(msgspec.Struct):
    id: int
    username: str = ""


class _MergeRequest(msgspec.Struct):
    target_project_id: int
    target_branch: str
    source_project_id: int | None = None
    sha: str | None = None
    state: str = "opened"
    source_branch: str = ""
    first_contribution: bool = True
    author: _User | None = None


class _Member(msgspec.Struct):
    access_level: int = 0
    state: str = "active"


class GitLabPulls:
    """See PullReader."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        headers = {"Accept": "application/json", "PRIVATE-TOKEN": connection.token}
        base = f"{connection.api_url.rstrip('/').removesuffix('/api/v4')}/api/v4"
        self._api = ForgeApi(base, headers, client, now)

    async def facts(self, repo: Repo, number: int) -> PullFacts | Later | Refused:
        """See PullReader."""
        place = _place(repo)
        if isinstance(place, Refused):
            return place
        merge = await self._api.get(f"{place}/merge_requests/{number}", _MergeRequest)
        if not isinstance(merge, _MergeRequest):
            return merge
        author = await self._author(place, merge)
        if not isinstance(author, Author):
            return author
        source = merge.source_project_id
        return PullFacts(
            head_repo=None if source is None else str(source),
            base_repo=str(merge.target_project_id),
            base_ref=merge.target_branch,
            head_ref=merge.source_branch,
            head_commit=merge.sha or "",
            author=author,
            login="" if merge.author is None else merge.author.username,
            is_open=merge.state == "opened",
        )

    async def open_pulls(self, repo: Repo, known: str) -> OpenPulls | Unchanged | Later | Refused:
        """See PullReader."""
        place = _place(repo)
        if isinstance(place, Refused):
            return place
        asked = "state=opened&scope=all&order_by=updated_at&sort=desc&per_page=50"
        return await merge_requests_of(self._api, f"{place}/merge_requests?{asked}", known)

    async def may_write(self, repo: Repo, login: str) -> bool | Later | Refused:
        """See PullReader."""
        place = _place(repo)
        if isinstance(place, Refused):
            return place
        users = await self._api.get(f"/users?username={quote(login, safe='')}", list[_User])
        if not isinstance(users, list):
            return users
        # It compares logins without their case, and might one day do so by less.
        ours = [one for one in users if one.username.casefold() == login.casefold()]
        if len(ours) != 1:
            return False
        told = await self._api.get(f"{place}/members/all/{ours[0].id}", _Member)
        return told if isinstance(told, Later) else _may_push(told)

    async def _author(self, place: str, merge: _MergeRequest) -> Author | Later | Refused:
        if merge.source_project_id == merge.target_project_id:
            return Author.MEMBER
        if merge.author is None:
            return Author.NEWCOMER
        told = await self._api.get(f"{place}/members/all/{merge.author.id}", _Member)
        if isinstance(told, Later):
            return told
        if _may_push(told):
            return Author.MEMBER
        return Author.NEWCOMER if merge.first_contribution else Author.STRANGER


def _may_push(told: _Member | Refused) -> bool:
    """A 404 is how it says that somebody is no member."""
    return isinstance(told, _Member) and told.access_level >= DEVELOPER and told.state == "active"


def _place(repo: Repo) -> str | Refused:
    project = repo.external_id.rpartition("/")[2]
    if project.isascii() and project.isdecimal():
        return f"/projects/{project}"
    return Refused(
        f"{repo.name} is registered with the id {repo.external_id!r}; GitLab's are numbers"
    )
