"""GitLab's commit statuses, over its REST API: by the project's number, which outlives its name."""

import re
from collections.abc import Callable

import httpx2

from pipelines.refs import is_commit
from pipelines.repo import Connection
from pipelines.status import Status, StatusState, shorten
from webhooks.forge import Later, Refused, Sent, Told
from webhooks.status_api import classify, message_in, request

TEXT_CHARS_MAX = 255

# An error is no cancellation: a pipeline that is wrong must not look like one that was stopped.
STATES = {
    StatusState.PENDING: "pending",
    StatusState.SUCCESS: "success",
    StatusState.FAILURE: "failed",
    StatusState.ERROR: "failed",
}

_PROJECT = re.compile(r"[0-9]+\Z", re.ASCII)
_TRANSITION = re.compile(r"Cannot transition status via :\w+ from :(\w+)")


class GitLabStatuses:
    """See StatusClient. `api_url` is the server's own URL, with or without `/api/v4`."""

    def __init__(
        self, connection: Connection, client: httpx2.AsyncClient, now: Callable[[], float]
    ) -> None:
        self._api = connection.api_url.rstrip("/").removesuffix("/api/v4")
        self._client, self._now = client, now
        self._headers = {"Accept": "application/json", "PRIVATE-TOKEN": connection.token}

    async def post_status(self, status: Status) -> Told:
        """See StatusClient."""
        project = status.repo.rpartition("/")[2]
        if not _PROJECT.match(project) or not is_commit(status.commit):
            return Refused(
                f"project {project!r} at {status.commit!r} cannot be put into an API URL; register"
                " the repository with its project number"
            )
        url = f"{self._api}/api/v4/projects/{project}/statuses/{status.commit}"
        answer = await request(self._client, url, self._headers, _body(status))
        if not isinstance(answer, httpx2.Response):
            return answer
        return _told(answer, STATES[status.state], self._now())


def _body(status: Status) -> dict[str, str]:
    body = {
        "state": STATES[status.state],
        "name": shorten(status.context, TEXT_CHARS_MAX),
        "description": shorten(status.description, TEXT_CHARS_MAX),
    }
    # A link that was cut would lead elsewhere.
    if status.target_url and len(status.target_url) <= TEXT_CHARS_MAX:
        body["target_url"] = status.target_url
    return body


def _told(answer: httpx2.Response, state: str, now: float) -> Told:
    """What the answer means, of GitLab's own kinds of refusal too. Pure."""
    if answer.status_code == 409:
        # Two statuses of one commit at once: one of them made the pipeline that both need.
        return Later(f"the forge answered 409: {message_in(answer)}")
    found = _TRANSITION.search(message_in(answer)) if answer.status_code == 400 else None
    if found is None:
        return classify(answer, now)
    # It is there already, or further: telling a status twice is harmless everywhere.
    has = {"pending", "running"} if state == "pending" else {state}
    return Sent() if found[1] in has else classify(answer, now)
