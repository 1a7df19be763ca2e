"""Bitbucket Cloud's build statuses, over its REST API: by the repository's UUID, and workspace.

The last of a Run has a report beside it, see `code_insights`.
"""

import hashlib
import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx2

from pipelines.refs import is_commit
from pipelines.repo import Connection
from pipelines.status import Status, StatusState, shorten
from webhooks import code_insights
from webhooks.bitbucket.api import base_url, headers, repository_part
from webhooks.bitbucket.reports import annotations_of, report_of
from webhooks.code_insights import tell_report
from webhooks.forge import Refused, Sent, Told
from webhooks.status_api import classify, request

KEY_CHARS_MAX = 40
NAME_CHARS_MAX = 255

# An error is not STOPPED: a pipeline that is wrong must not look like one that somebody ended.
STATES = {
    StatusState.PENDING: "INPROGRESS",
    StatusState.SUCCESS: "SUCCESSFUL",
    StatusState.FAILURE: "FAILED",
    StatusState.ERROR: "FAILED",
}


class BitbucketStatuses:
    """See StatusClient. `api_url` is https://api.bitbucket.org, with or without `/2.0`."""

    def __init__(
        self, connection: Connection, client: httpx2.AsyncClient, now: Callable[[], float]
    ) -> None:
        self._base, self._headers = base_url(connection), headers(connection)
        self._client, self._now = client, now

    async def post_status(self, status: Status) -> Told:
        """See StatusClient. A later status of the same key takes the place of the one before."""
        part = repository_part(status.repo_name, status.repo.rpartition("/")[2])
        if isinstance(part, Refused):
            return part
        if not is_commit(status.commit):
            return Refused(f"{status.commit!r} cannot be put into an API URL")
        if not status.target_url:
            return Refused("Bitbucket takes no status without a link, and this one has none")
        url = f"{self._base}/repositories/{part[0]}/{part[1]}/commit/{status.commit}"
        answer = await request(self._client, f"{url}/statuses/build", self._headers, _body(status))
        if not isinstance(answer, httpx2.Response):
            return answer
        told = _told(answer, status.target_url, self._now())
        if not isinstance(told, Sent) or not status.is_last:
            return told
        return await tell_report(
            self._client,
            f"{url}/reports/{code_insights.key_of(status)}",
            self._headers,
            report_of(status),
            annotations_of(status),
            body_of=list,
            now=self._now(),
        )


def key_of(context: str) -> str:
    """What a context's statuses are kept under: itself where it fits, else a digest of it."""
    if len(context) <= KEY_CHARS_MAX:
        return context
    return hashlib.sha256(context.encode()).hexdigest()[:KEY_CHARS_MAX]


def _body(status: Status) -> dict[str, str]:
    return {
        "key": key_of(status.context),
        "state": STATES[status.state],
        "name": shorten(status.context, NAME_CHARS_MAX),
        "description": shorten(status.description),
        "url": status.target_url,
    }


def _told(answer: httpx2.Response, link: str, now: float) -> Told:
    """What the answer means, and what to do where it is Bitbucket's own kind of refusal. Pure."""
    told = classify(answer, now)
    if not isinstance(told, Refused):
        return told
    if answer.status_code == 400 and not _is_public(link):
        return Refused(
            f"{told.reason} Bitbucket Cloud takes only links to public addresses, and this one is"
            f" {link}: start Staunch with a --base-url that the internet can name."
        )
    if answer.status_code == 403:
        return Refused(
            f"{told.reason} If another token made this build, only its owner may change it: a new"
            " commit gets builds of its own."
        )
    return told


def _is_public(link: str) -> bool:
    """Whether the link's host may be one on the internet, by its name alone."""
    host = urlsplit(link).hostname or ""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local", ".internal"))
