"""FetchTokens: what repositories are read with. Asked by git's threads, answered on the loop."""

import asyncio

from ci_host.adapters.git.errors import FetchFailed, OriginRefused
from pipelines.repo import Connection, Repo
from webhooks.forge import Later, Refused
from webhooks.github.app import AppTokens, Purpose

# Two calls of a forge, each with a time-out of its own.
ANSWER_TIMEOUT_S = 30.0


class FetchTokens:
    """Blocking: never called on the `loop` that answers it."""

    def __init__(self, tokens: AppTokens, loop: asyncio.AbstractEventLoop) -> None:
        self._tokens, self._loop = tokens, loop

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
                raise OriginRefused(f"{repo.name}: the forge gives the App no token: {reason}")
        return told
