"""Comments on Bitbucket Cloud's pull requests, over its REST API: by the repository's UUID.

"List comments on a pull request", "Create a comment", "Update a comment". There are no reactions.
"""

from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection, Repo
from webhooks.bitbucket.api import bitbucket_api, repository_part
from webhooks.forge import Comment, Later, Refused, Sent
from webhooks.own_comments import Found, as_written, ours_of

PER_PAGE = 100
PAGES_MAX = 20


class _Content(msgspec.Struct):
    raw: str | None = None


class _User(msgspec.Struct):
    uuid: str = ""


class _Comment(msgspec.Struct):
    id: int
    content: _Content
    user: _User | None = None
    deleted: bool = False


class _Comments(msgspec.Struct):
    values: list[_Comment]
    next: str = ""


class BitbucketComments:
    """See PullComments. The token needs the scope `pullrequest:write`."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        self._api = bitbucket_api(connection, client, now)

    async def ours(self, repo: Repo, number: int) -> list[Comment] | Later | Refused:
        """See PullComments."""
        place = _place(repo, number)
        if isinstance(place, Refused):
            return place
        found: list[Found] = []
        for page in range(1, PAGES_MAX + 1):
            # Where the answer says that it goes on is not followed: only pages are counted.
            asked = f"{place}?sort=created_on&pagelen={PER_PAGE}&page={page}"
            told = await self._api.get(asked, _Comments)
            if not isinstance(told, _Comments):
                return told
            found += [_found(one) for one in told.values if not one.deleted and one.user]
            if not told.next:
                break
        return await ours_of(found, lambda one: self._put(place, one.id, one.raw))

    async def create(self, repo: Repo, number: int, text: str) -> Comment | Later | Refused:
        """See PullComments."""
        place = _place(repo, number)
        if isinstance(place, Refused):
            return place
        body = {"content": {"raw": as_written(text)}}
        made = await self._api.send("POST", place, body, _Comment)
        return Comment(str(made.id), text) if isinstance(made, _Comment) else made

    async def update(
        self, repo: Repo, number: int, comment: str, text: str
    ) -> bool | Later | Refused:
        """See PullComments."""
        place = _place(repo, number)
        if isinstance(place, Refused):
            return place
        return await self._put(place, comment, as_written(text))

    async def react(self, repo: Repo, number: int, comment: str) -> Sent | Later | Refused:
        """See PullComments. There is nothing to show one with: what a command did has to do."""
        return Sent()

    async def _put(self, place: str, comment: str, raw: str) -> bool | Later | Refused:
        path = f"{place}/{quote(comment, safe='')}"
        told = await self._api.change("PUT", path, {"content": {"raw": raw}})
        return told != 404 if isinstance(told, int) else told


def _found(one: _Comment) -> Found:
    return Found(str(one.id), one.user.uuid if one.user else "", one.content.raw or "")


def _place(repo: Repo, number: int) -> str | Refused:
    part = repository_part(repo.name, repo.external_id)
    if isinstance(part, Refused):
        return part
    return f"/repositories/{part[0]}/{part[1]}/pullrequests/{number}/comments"
