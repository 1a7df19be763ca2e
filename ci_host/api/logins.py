"""Logins: logins at forges that have begun and are not over, each bound to the browser it began in.

In memory: a login that a host's end cuts in two is begun again. Each is good once, for ten minutes.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from ci_host.api.unfinished import Unfinished

LOGIN_S = 600.0
BEGUN_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Login:
    """`state` goes to the forge and back; `verifier` never leaves but to the forge's token
    endpoint; `browser` is the digest of what the browser's cookie holds."""

    connection: str
    state: str
    verifier: str
    browser: str
    following: str
    until: float


class Logins:
    """One per host."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._begun: Unfinished[Login] = Unfinished(BEGUN_MAX, now)

    def begin(self, connection: str, following: str, by: str) -> tuple[Login, str]:
        """A new one of somebody at this address, and what the browser's cookie is to hold."""
        cookie = secrets.token_urlsafe(32)
        begun = Login(
            connection=connection,
            state=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            browser=_digest(cookie),
            following=following,
            until=self._now() + LOGIN_S,
        )
        self._begun.put(begun.state, begun, by=by, until=begun.until)
        return begun, cookie

    def end(self, connection: str, state: str, cookie: str) -> Login | None:
        """The one of this state, if it began in this browser, for this forge, not long ago.

        Once: whatever comes of it, the state is worth nothing afterwards.
        """
        begun = self._begun.pop(state)
        if begun is None or begun.connection != connection:
            return None
        return begun if hmac.compare_digest(begun.browser, _digest(cookie)) else None


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
