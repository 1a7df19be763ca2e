"""Comments on Bitbucket Data Center's pull requests, over its REST API.

"Get pull request activity" is the only list that has all of them, the newest first. "Add pull
request comment"; "Update pull request comment", which names the version that it changes; "React to
a PR comment". A repository is named there, and its name may have a new owner: `GET` of it says.
"""

from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection, Repo
from webhooks.bitbucket_dc.client import LIKES, api_of, repository_path
from webhooks.forge import Comment, Later, Refused, Sent
from webhooks.own_comments import Found, as_written, ours_of

PER_PAGE = 100
PAGES_MAX = 20


class _Repository(msgspec.Struct):
    id: int


class _User(msgspec.Struct):
    id: int


class _Comment(msgspec.Struct):
    id: int
    version: int = 0
    text: str = ""
    author: _User | None = None


class _Activity(msgspec.Struct, rename="camel"):
    comment: _Comment | None = None
    comment_action: str = ""


class _Activities(msgspec.Struct, rename="camel"):
    values: list[_Activity]
    is_last_page: bool = True
    next_page_start: int | None = None


class BitbucketDcComments:
    """See PullComments. Who may read a repository may comment in it."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        self._api = api_of(connection, client, now)
        self._likes = api_of(connection, client, now, LIKES)

    async def ours(self, repo: Repo, number: int) -> list[Comment] | Later | Refused:
        """See PullComments."""
        place = await self._meant(repo)
        if not isinstance(place, str):
            return place
        pull = f"{place}/pull-requests/{number}"
        found = await self._listed(pull)
        if not isinstance(found, list):
            return found
        return await ours_of(found, lambda one: self._put(pull, one, one.raw))

    async def create(self, repo: Repo, number: int, text: str) -> Comment | Later | Refused:
        """See PullComments."""
        place = await self._meant(repo)
        if not isinstance(place, str):
            return place
        path = f"{place}/pull-requests/{number}/comments"
        made = await self._api.send("POST", path, {"text": as_written(text)}, _Comment)
        return Comment(str(made.id), text) if isinstance(made, _Comment) else made

    async def update(
        self, repo: Repo, number: int, comment: str, text: str
    ) -> bool | Later | Refused:
        """See PullComments. Its version is told by the list of all."""
        place = await self._meant(repo)
        if not isinstance(place, str):
            return place
        pull = f"{place}/pull-requests/{number}"
        found = await self._listed(pull)
        if not isinstance(found, list):
            return found
        one = next((one for one in found if one.id == comment), None)
        return False if one is None else await self._put(pull, one, as_written(text))

    async def react(self, repo: Repo, number: int, comment: str) -> Sent | Later | Refused:
        """See PullComments. Servers before 7.8 know no reactions, and answer 404."""
        place = repository_path(repo.name)
        if isinstance(place, Refused):
            return place
        path = f"{place}/pull-requests/{number}/comments/{quote(comment, safe='')}"
        told = await self._likes.change("PUT", f"{path}/reactions/thumbsup", {})
        return Sent() if isinstance(told, int) else told

    async def _listed(self, pull: str) -> list[Found] | Later | Refused:
        """All comments that are there, the oldest first."""
        found: dict[int, _Comment | None] = {}
        start = 0
        for _ in range(PAGES_MAX):
            asked = f"{pull}/activities?limit={PER_PAGE}&start={start}"
            told = await self._api.get(asked, _Activities)
            if not isinstance(told, _Activities):
                return told
            for one in told.values:
                if one.comment is not None:
                    gone = one.comment_action == "DELETED"
                    found.setdefault(one.comment.id, None if gone else one.comment)
            if told.is_last_page or told.next_page_start is None:
                break
            start = told.next_page_start
        there = [one for _, one in sorted(found.items()) if one is not None and one.author]
        return [_found(one) for one in there]

    async def _put(self, pull: str, one: Found, raw: str) -> bool | Later | Refused:
        body = {"text": raw, "version": one.version}
        told = await self._api.change("PUT", f"{pull}/comments/{quote(one.id)}", body)
        return told != 404 if isinstance(told, int) else told

    async def _meant(self, repo: Repo) -> str | Later | Refused:
        """Where the repository is; Refused: its name is another one's by now."""
        place = repository_path(repo.name)
        if isinstance(place, Refused):
            return place
        there = await self._api.get(place, _Repository)
        if not isinstance(there, _Repository):
            return there
        if str(there.id) != repo.external_id:
            return Refused(f"{repo.name} is repository {there.id} by now, not {repo.external_id}.")
        return place


def _found(one: _Comment) -> Found:
    author = str(one.author.id) if one.author else ""
    return Found(str(one.id), author, one.text, one.version)
