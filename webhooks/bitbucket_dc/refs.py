"""Data Center makes a pull request's own ref late: when somebody looks at what it changes.

A fork's commits cannot be fetched from the repository that they are meant for before that. So we
look: the one call of the API whose answer nobody reads.
"""

import re

import httpx2

from pipelines.repo import Connection, Repo
from webhooks.bitbucket_dc.client import authorized, repository_url

TIMEOUT_S = 20.0

_PULL_REQUEST = re.compile(r"refs/pull-requests/([1-9][0-9]*)/from\Z", re.ASCII)


def have_ref_made(
    connection: Connection,
    repo: Repo,
    ref: str,
    *,
    transport: httpx2.BaseTransport | None = None,
) -> None:
    """Have the server make this ref, if it is a pull request's. Blocking; may be repeated.

    Never raises for what network or server do: a ref that is not there is told of when it is
    fetched. `transport`: another one than the network.
    """
    found = _PULL_REQUEST.match(ref)
    base = repository_url(connection, repo.name)
    if found is None or base is None or not connection.token.isascii():
        return
    url = f"{base}/pull-requests/{found[1]}/changes"
    with httpx2.Client(transport=transport, timeout=TIMEOUT_S, follow_redirects=False) as client:
        try:
            client.get(url, params={"limit": "1"}, headers=authorized(connection))
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return
