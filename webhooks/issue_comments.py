"""Issue comments: what GitHub and Gitea have in common there, since a pull request is an issue.

`GET` and `POST /repos/{owner}/{repo}/issues/{number}/comments`, `PATCH …/issues/comments/{id}`,
`POST …/issues/comments/{id}/reactions`, and `GET /user`, which says who we are. GitHub lists by
pages; Gitea lists all at once, and knows of no pages there. A comment's id is good for the whole
forge; a pull request's number is not, and a name may have a new owner: `GET /repos/{owner}/{repo}`
says whether it is still the repository that is meant, and what it is called today.
"""

from urllib.parse import quote

import msgspec

from pipelines.repo import Repo
from webhooks.forge import Comment, Later, Refused, Sent
from webhooks.rest import ForgeApi
from webhooks.status_api import is_repo_name

PER_PAGE = 100
# Of a pull request with more comments ours is not looked for among the later ones.
PAGES_MAX = 20


class _Repository(msgspec.Struct):
    id: int
    full_name: str


class _Account(msgspec.Struct):
    id: int


class _App(msgspec.Struct):
    id: int
    client_id: str | None = None


class _Comment(msgspec.Struct):
    id: int
    body: str | None = None
    user: _Account | None = None
    performed_via_github_app: _App | None = None


class IssueComments:
    """See PullComments. `app`: of a GitHub App, which has no account of its own to ask for;
    `has_pages`: whether a list comes in pages."""

    def __init__(self, api: ForgeApi, *, app: str = "", has_pages: bool = True) -> None:
        self._api, self._app, self._has_pages = api, app, has_pages
        self._today: dict[str, str] = {}

    async def ours(self, repo: Repo, number: int) -> list[Comment] | Later | Refused:
        """See PullComments."""
        me = None if self._app else await self._api.get("/user", _Account)
        if isinstance(me, Later | Refused):
            return me
        place = await self._meant(repo)
        if not isinstance(place, str):
            return place
        found: dict[int, _Comment] = {}
        for page in range(1, PAGES_MAX + 1):
            which = f"?per_page={PER_PAGE}&page={page}" if self._has_pages else ""
            asked = f"{place}/issues/{number}/comments{which}"
            there = await self._api.get(asked, list[_Comment])
            if not isinstance(there, list):
                return there
            found |= {one.id: one for one in there}
            if not self._has_pages or len(there) < PER_PAGE:
                break
        ours = [one for one in found.values() if self._is_ours(one, me)]
        return [Comment(str(one.id), one.body or "") for one in sorted(ours, key=lambda c: c.id)]

    async def create(self, repo: Repo, number: int, text: str) -> Comment | Later | Refused:
        """See PullComments."""
        place = await self._meant(repo)
        if not isinstance(place, str):
            return place
        path = f"{place}/issues/{number}/comments"
        made = await self._api.send("POST", path, {"body": text}, _Comment)
        return Comment(str(made.id), text) if isinstance(made, _Comment) else made

    async def update(
        self, repo: Repo, number: int, comment: str, text: str
    ) -> bool | Later | Refused:
        """See PullComments."""
        place = _place(repo)
        if isinstance(place, Refused):
            return place
        path = f"{place}/issues/comments/{quote(comment, safe='')}"
        told = await self._api.change("PATCH", path, {"body": text})
        return told != 404 if isinstance(told, int) else told

    async def react(self, repo: Repo, number: int, comment: str) -> Sent | Later | Refused:
        """See PullComments."""
        place = _place(repo)
        if isinstance(place, Refused):
            return place
        path = f"{place}/issues/comments/{quote(comment, safe='')}/reactions"
        told = await self._api.change("POST", path, {"content": "+1"})
        # Who deleted the comment meanwhile asks for no answer.
        return Sent() if isinstance(told, int) else told

    async def _meant(self, repo: Repo) -> str | Later | Refused:
        """Where the repository of that id is today, asked once; Refused: it is another one's."""
        if (known := self._today.get(repo.id)) is not None:
            return known
        place = _place(repo)
        if isinstance(place, Refused):
            return place
        found = await self._api.get(place, _Repository)
        if not isinstance(found, _Repository):
            return found
        if str(found.id) != repo.external_id or not is_repo_name(found.full_name):
            return Refused(f"{repo.name} is repository {found.id} by now, not {repo.external_id}.")
        self._today[repo.id] = f"/repos/{quote(found.full_name)}"
        return self._today[repo.id]

    def _is_ours(self, one: _Comment, me: _Account | None) -> bool:
        if me is not None:
            return one.user is not None and one.user.id == me.id
        app = one.performed_via_github_app
        return app is not None and self._app in (str(app.id), app.client_id)


def _place(repo: Repo) -> str | Refused:
    if is_repo_name(repo.name):
        return f"/repos/{quote(repo.name)}"
    return Refused(f"{repo.name!r} cannot be put into an API URL")
