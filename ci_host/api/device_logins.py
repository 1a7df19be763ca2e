"""DeviceLogins: command lines that ask to be let in, each until somebody answers it in a browser.

In memory: one that a host's end cuts in two is begun again. The code is short, to be compared by
people; it lets nobody in without the verifier, which never leaves the machine that asks (as in
RFC 8628 and RFC 7636).
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from ci_host.api.unfinished import Unfinished

LOGIN_S = 600.0
ASKED_MAX = 1_000
# No vowels, so no words; nothing that looks like something else.
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
CODE_CHARS = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """`digest`: the sha256 of the verifier, in hex. `secret`: what it was given; empty: nothing
    yet; None: it was turned away."""

    code: str
    digest: str
    machine: str
    until: float
    secret: str | None = ""


class DeviceLogins:
    """One per host."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._asked: Unfinished[Asked] = Unfinished(ASKED_MAX, now)

    def ask(self, digest: str, machine: str, by: str) -> Asked:
        """A new one, of somebody at this address."""
        letters = "".join(secrets.choice(LETTERS) for _ in range(CODE_CHARS))
        code = f"{letters[:4]}-{letters[4:]}"
        asked = Asked(code, digest, machine, self._now() + LOGIN_S)
        self._asked.put(code, asked, by=by, until=asked.until)
        return asked

    def find(self, code: str) -> Asked | None:
        """The one of this code, if nobody has answered it and it is not too late."""
        asked = self._asked.get(code.upper())
        return None if asked is None or asked.secret != "" else asked

    def hold(self, asked: Asked) -> None:
        """Somebody answers it now."""
        self._asked.hold(asked.code)

    def answer(self, asked: Asked, secret: str | None) -> None:
        """Let it in with this secret, or (None) turn it away."""
        self._asked.replace(asked.code, replace(asked, secret=secret))

    def claim(self, code: str, verifier: str) -> Asked | None:
        """The one of this code, for whoever asked; with an answer it is told once."""
        asked = self._asked.get(code)
        if asked is None:
            return None
        digest = hashlib.sha256(verifier.encode()).hexdigest()
        if not hmac.compare_digest(asked.digest, digest):
            return None
        if asked.secret != "":
            self._asked.pop(code)
        return asked
