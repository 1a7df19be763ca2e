"""Bitbucket Cloud's build statuses, over its REST API: by the repository's UUID, and workspace."""

import base64
import hashlib
import ipaddress
import re
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import httpx2

from pipelines.refs import is_commit
from pipelines.repo import Connection
from pipelines.status import Status, StatusState, shorten
from webhooks.bitbucket.parse import repository_uuid
from webhooks.errors import Malformed
from webhooks.forge import Refused, Told
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

_NAME = re.compile(r"([\w.-]*[\w-][\w.-]*)/[^/]+\Z", re.ASCII)


class BitbucketStatuses:
    """See StatusClient. `api_url` is https://api.bitbucket.org, with or without `/2.0`."""

    def __init__(
        self, connection: Connection, client: httpx2.AsyncClient, now: Callable[[], float]
    ) -> None:
        self._api = connection.api_url.rstrip("/").removesuffix("/2.0")
        self._client, self._now = client, now
        self._headers = {
            "Accept": "application/json",
            "Authorization": authorization(connection.token),
        }

    async def post_status(self, status: Status) -> Told:
        """See StatusClient. A later status of the same key takes the place of the one before."""
        name = _NAME.match(status.repo_name)
        try:
            repository = quote(f"{{{repository_uuid(status.repo.rpartition('/')[2])}}}")
        except Malformed as error:
            return Refused(f"{error}; register the repository with its UUID")
        if name is None or not is_commit(status.commit):
            return Refused(
                f"{status.repo_name!r} at {status.commit!r} cannot be put into an API URL; register"
                " the repository under its name <workspace>/<repository>"
            )
        if not status.target_url:
            return Refused("Bitbucket takes no status without a link, and this one has none")
        path = f"{name[1]}/{repository}/commit/{status.commit}/statuses/build"
        url = f"{self._api}/2.0/repositories/{path}"
        answer = await request(self._client, url, self._headers, _body(status))
        if not isinstance(answer, httpx2.Response):
            return answer
        return _told(answer, status.target_url, self._now())


def authorization(token: str) -> str:
    """The header for a token: `<user or e-mail>:<API token>` is Basic, an access token Bearer."""
    if ":" in token:
        return f"Basic {base64.b64encode(token.encode()).decode()}"
    return f"Bearer {token}"


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
