"""GitLab's notes, which are comments on merge requests, over its REST API.

`GET` and `POST /projects/:id/merge_requests/:iid/notes`, `PUT …/notes/:note_id`,
`POST …/notes/:note_id/award_emoji`, and `GET /user`, which says who we are.
"""

from urllib.parse import quote

import httpx2
import msgspec

from pipelines.repo import Connection, Repo
from webhooks.forge import Comment, Later, Refused, Sent
from webhooks.rest import ForgeApi

PER_PAGE = 100
PAGES_MAX = 20


class _User(msgspec.Struct):
    id: int


class _Note(msgspec.Struct):
    id: int
    body: str = ""
    author: _User | None = None
    system: bool = False


class GitLabNotes:
    """See PullComments."""

    def __init__(self, connection: Connection, client: httpx2.AsyncClient, now: float) -> None:
        headers = {"Accept": "application/json", "PRIVATE-TOKEN": connection.token}
        base = f"{connection.api_url.rstrip('/').removesuffix('/api/v4')}/api/v4"
        self._api = ForgeApi(base, headers, client, now)

    async def ours(self, repo: Repo, number: int) -> list[Comment] | Later | Refused:
        """See PullComments."""
        place = _place(repo, number)
        if isinstance(place, Refused):
            return place
        me = await self._api.get("/user", _User)
        if not isinstance(me, _User):
            return me
        found: list[_Note] = []
        for page in range(1, PAGES_MAX + 1):
            asked = f"{place}?sort=asc&order_by=created_at&per_page={PER_PAGE}&page={page}"
            there = await self._api.get(asked, list[_Note])
            if not isinstance(there, list):
                return there
            found += there
            if len(there) < PER_PAGE:
                break
        ours = [one for one in found if one.author == me and not one.system]
        return [Comment(str(one.id), one.body) for one in ours]

    async def create(self, repo: Repo, number: int, text: str) -> Comment | Later | Refused:
        """See PullComments."""
        place = _place(repo, number)
        if isinstance(place, Refused):
            return place
        made = await self._api.send("POST", place, {"body": text}, _Note)
        return Comment(str(made.id), text) if isinstance(made, _Note) else made

    async def update(
        self, repo: Repo, number: int, comment: str, text: str
    ) -> bool | Later | Refused:
        """See PullComments."""
        place = _place(repo, number)
        if isinstance(place, Refused):
            return place
        told = await self._api.change("PUT", f"{place}/{quote(comment, safe='')}", {"body": text})
        return told != 404 if isinstance(told, int) else told

    async def react(self, repo: Repo, number: int, comment: str) -> Sent | Later | Refused:
        """See PullComments. An emoji that is there already is answered with 404, too."""
        place = _place(repo, number)
        if isinstance(place, Refused):
            return place
        path = f"{place}/{quote(comment, safe='')}/award_emoji"
        told = await self._api.change("POST", path, {"name": "thumbsup"})
        return Sent() if isinstance(told, int) else told


def _place(repo: Repo, number: int) -> str | Refused:
    project = repo.external_id.rpartition("/")[2]
    if project.isascii() and project.isdecimal():
        return f"/projects/{project}/merge_requests/{number}/notes"
    return Refused(
        f"{repo.name} is registered with the id {repo.external_id!r}; GitLab's are numbers"
    )
