"""FetchTokens: what repositories are read with. Asked by git's threads, answered on the loop."""

import asyncio

from ci_host.adapters.git.errors import FetchFailed, RepoGone
from pipelines.repo import Connection, Repo
from webhooks.forge import Connections, Later, Refused
from webhooks.github.app import AppTokens, Purpose

# Two calls of a forge, each with a time-out of its own.
ANSWER_TIMEOUT_S = 30.0
# A token that is younger was refused because it must be: the repository is gone.
RENEWED_AFTER_S = 60.0


class FetchTokens:
    """Blocking: never called on the `loop` that answers it."""

    def __init__(
        self, tokens: AppTokens, connections: Connections, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._tokens, self._connections, self._loop = tokens, connections, loop

    def of(self, connection: Connection, repo: Repo) -> str:
        """See TokenOf. A GitHub App's is made for this repository, and can do no more than read."""
        if not connection.app:
            return connection.token
        asked = self._tokens.token(connection, repo.name, Purpose.FETCH)
        try:
            told = asyncio.run_coroutine_threadsafe(asked, self._loop).result(ANSWER_TIMEOUT_S)
        except TimeoutError as error:
            raise FetchFailed(f"{repo.name}: the forge gives no token; it is too slow") from error
        match told:
            case Later(reason):
                raise FetchFailed(f"{repo.name}: the forge gives no token now: {reason}")
            case Refused(reason):
                # Not installed there, or there is no repository of that name any more.
                raise RepoGone(f"{repo.name}: the forge gives the App no token: {reason}")
        return told

    def renew(self, repo: Repo) -> bool:
        """The forge has refused what `of` gave: whether that was old, and is given up.

        An App that was removed and installed again has other tokens, whatever the old ones say.
        """
        connection = self._connections.find(repo.connection)
        if connection is None or not connection.app:
            return False
        asked = self._forget(connection, repo)
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result(ANSWER_TIMEOUT_S)

    async def _forget(self, connection: Connection, repo: Repo) -> bool:
        return self._tokens.forget(connection, repo.name, Purpose.FETCH, older_s=RENEWED_AFTER_S)
