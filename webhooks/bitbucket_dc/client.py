"""Bitbucket Data Center's build statuses, over its REST API; older servers have another one.

The last of a Run has a report beside it, see `code_insights`.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import httpx2
import msgspec

from pipelines.refs import is_commit
from pipelines.repo import Connection
from pipelines.status import Status, StatusState, shorten
from webhooks import code_insights
from webhooks.bitbucket_dc.reports import annotations_of, report_of
from webhooks.code_insights import tell_report
from webhooks.forge import Refused, Sent, Told
from webhooks.rest import ForgeApi
from webhooks.status_api import classify, request

API, INSIGHTS, LIKES = "/rest/api/latest", "/rest/insights/latest", "/rest/comment-likes/latest"
TEXT_CHARS_MAX = 255

# An error is not CANCELLED: a pipeline that is wrong must not look like one that somebody ended.
# Servers before 8 know no other states than these three.
STATES = {
    StatusState.PENDING: "INPROGRESS",
    StatusState.SUCCESS: "SUCCESSFUL",
    StatusState.FAILURE: "FAILED",
    StatusState.ERROR: "FAILED",
}

# A person's own project is ~name.
_NAME = re.compile(r"(~?[\w.-]*[\w-][\w.-]*)/([\w.-]*[\w-][\w.-]*)\Z", re.ASCII)


class BitbucketDcStatuses:
    """See StatusClient. `api_url` is the server's own URL, with its context path if it has one.

    `older` holds the URLs of servers that turned out to have only the older API; it is added to.
    """

    def __init__(
        self,
        connection: Connection,
        client: httpx2.AsyncClient,
        now: Callable[[], float],
        older: set[str],
    ) -> None:
        self._connection, self._api = connection, _server(connection)
        self._client, self._now, self._older = client, now, older
        self._headers = authorized(connection)

    async def post_status(self, status: Status) -> Told:
        """See StatusClient. A later status of the same key takes the place of the one before."""
        told = await self._post_build(status)
        path = repository_path(status.repo_name)
        if not isinstance(told, Sent) or not status.is_last or isinstance(path, Refused):
            return told
        key = code_insights.key_of(status)
        return await tell_report(
            self._client,
            f"{self._api}{INSIGHTS}{path}/commits/{status.commit}/reports/{key}",
            # What deletes is suspected of having come from another site's page.
            {**self._headers, "X-Atlassian-Token": "no-check"},
            report_of(status),
            annotations_of(status),
            body_of=lambda notes: {"annotations": notes},
            now=self._now(),
        )

    async def _post_build(self, status: Status) -> Told:
        base = repository_url(self._connection, status.repo_name)
        if base is None or not is_commit(status.commit):
            return Refused(
                f"{status.repo_name!r} at {status.commit!r} cannot be put into an API URL; register"
                " the repository under its name <project key>/<repository>"
            )
        if not status.target_url:
            return Refused("Bitbucket takes no status without a link, and this one has none")
        body = _body(status)
        if self._api in self._older:
            return await self._post_older(status.commit, body)
        url = f"{base}/commits/{status.commit}/builds"
        newer = {**body, "parent": body["key"]}
        answer = await request(self._client, url, self._headers, newer)
        if not isinstance(answer, httpx2.Response):
            return answer
        if not _has_no_builds(answer):
            return classify(answer, self._now())
        told = await self._post_older(status.commit, body)
        if isinstance(told, Sent):
            self._older.add(self._api)
        # If neither is there, what is wrong is not the server's age.
        return classify(answer, self._now()) if isinstance(told, Refused) else told

    async def _post_older(self, commit: str, body: dict[str, str]) -> Told:
        url = f"{self._api}/rest/build-status/1.0/commits/{commit}"
        answer = await request(self._client, url, self._headers, body)
        if not isinstance(answer, httpx2.Response):
            return answer
        return classify(answer, self._now())


def repository_url(connection: Connection, name: str) -> str | None:
    """Where the API has the repository `<project key>/<repository>`; None: this is no such name."""
    path = repository_path(name)
    return None if isinstance(path, Refused) else f"{_server(connection)}{API}{path}"


def repository_path(name: str) -> str | Refused:
    """Where in the API the repository `<project key>/<repository>` is."""
    found = _NAME.match(name)
    if found is None:
        return Refused(
            f"{name!r} cannot be put into an API URL; register the repository under its name"
            " <project key>/<repository>"
        )
    return f"/projects/{found[1]}/repos/{found[2]}"


def api_of(
    connection: Connection, client: httpx2.AsyncClient, now: float, part: str = API
) -> ForgeApi:
    """The server's REST API, or that of another `part` of it."""
    return ForgeApi(f"{_server(connection)}{part}", authorized(connection), client, now)


def authorized(connection: Connection) -> dict[str, str]:
    """The headers of each request: a token of whatever kind is a Bearer there."""
    return {"Accept": "application/json", "Authorization": f"Bearer {connection.token}"}


def _server(connection: Connection) -> str:
    return connection.api_url.rstrip("/").removesuffix(API)


def _body(status: Status) -> dict[str, str]:
    key = status.context
    if len(key) > TEXT_CHARS_MAX:
        key = hashlib.sha256(key.encode()).hexdigest()
    return {
        "key": key,
        "state": STATES[status.state],
        "name": shorten(status.context, TEXT_CHARS_MAX),
        "description": shorten(status.description),
        "url": status.target_url,
    }


def _has_no_builds(answer: httpx2.Response) -> bool:
    """Whether it is the path that is unknown: of what it knows to be missing, it names the error.

    Only servers of 7.4 and newer have builds.
    """
    if answer.status_code not in (404, 405):
        return False
    try:
        body: Any = msgspec.json.decode(answer.content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return True
    errors = body.get("errors") if isinstance(body, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    return not (isinstance(first, dict) and first.get("exceptionName"))
