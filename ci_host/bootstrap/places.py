"""Places: where the commits of a pull request are, on forges whose repositories have no ref of it.

Asked by git's threads, answered on the loop. Only the path of a fork is learned, and from the
forge's API alone: scheme and host are those of the repository that an operator has registered, and
`origin.py` holds them against the connection once more.
"""

import asyncio
import re
import time
from urllib.parse import urlsplit

import httpx2
import msgspec

from ci_host.adapters.git.errors import FetchFailed, OriginRefused
from ci_host.adapters.git.origin import Place
from pipelines.repo import Connection, ForgeKind, Repo
from webhooks.bitbucket.pulls import BitbucketPulls
from webhooks.bitbucket_dc.refs import have_ref_made
from webhooks.forge import Connections, Later, Refused

ANSWER_TIMEOUT_S = 30.0
_PULL_REQUEST = re.compile(r"refs/pull-requests/([1-9][0-9]{0,17})/from\Z", re.ASCII)


class Places:
    """Blocking: never called on the `loop` that answers it."""

    def __init__(
        self,
        connections: Connections,
        client: httpx2.AsyncClient,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._connections, self._client, self._loop = connections, client, loop

    def of(self, repo: Repo, ref: str) -> Place | None:
        """See FindPlace. Data Center makes the ref when asked, Cloud says where the fork is."""
        connection, found = self._connections.find(repo.connection), _PULL_REQUEST.match(ref)
        if connection is None or found is None:
            return None
        if connection.kind is ForgeKind.BITBUCKET_DC:
            have_ref_made(connection, repo, ref)
            return None
        if connection.kind is not ForgeKind.BITBUCKET:
            return None
        return self._fork(connection, repo, int(found[1]))

    def _fork(self, connection: Connection, repo: Repo, number: int) -> Place:
        if not connection.api_url or not connection.token:
            raise OriginRefused(
                f"{repo.name}: pull request {number} may come from a fork, and connection"
                f" {connection.id!r} has no token to ask where that is; give it one"
            )
        asked = BitbucketPulls(connection, self._client, time.time()).source(repo, number)
        try:
            told = asyncio.run_coroutine_threadsafe(asked, self._loop).result(ANSWER_TIMEOUT_S)
        except TimeoutError as error:
            raise FetchFailed(f"{repo.name}: the forge is too slow to say more") from error
        match told:
            case Later(reason):
                raise FetchFailed(f"{repo.name}, pull request {number}: {reason}")
            case Refused(reason):
                raise OriginRefused(f"{repo.name}, pull request {number}: {reason}")
        branch = f"refs/heads/{told.branch}"
        return Place(fork_of(repo, told.name) if told.name else repo, branch)


def fork_of(repo: Repo, name: str) -> Repo:
    """The repository of that name (`<workspace>/<slug>`, as the API has it) on the same host."""
    parts = urlsplit(repo.clone_url)
    if not parts.scheme:
        raise OriginRefused(
            f"{repo.name} is registered with the path {repo.clone_url}, beside which no fork is"
        )
    url = parts._replace(path=f"/{name}.git", query="", fragment="").geturl()
    return msgspec.structs.replace(repo, name=name, clone_url=url)
