"""Access: who may do what here. Tokens name a person and their teams; secrets are kept as digests.

Pure. Which route asks for what is in `api/`; whether somebody may open a Gate is decided here, and
again by nobody else: the answer is recorded with the name.
"""

import hashlib
import secrets
from collections.abc import Sequence

import msgspec

PREFIX = "stn_"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A person's key. `digest` is the sha256 of the secret; revoked ones stay, to be refused.

    `admin` may change settings; everybody with a token may read, and open Gates that name them.
    """

    digest: str
    name: str
    teams: list[str] = []
    admin: bool = False
    created_at: float = 0.0
    revoked: bool = False


def digest_of_secret(secret: str) -> str:
    """What is kept of a secret. It is 32 random bytes, so one plain digest is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    """A fresh secret, recognisable by its prefix."""
    return PREFIX + secrets.token_urlsafe(32)


def may_open(token: Token, approvers: Sequence[str]) -> bool:
    """Whether this person is one of a Gate's approvers: by name or `@team`; empty: anybody."""
    if not approvers:
        return True
    return token.name in approvers or any(f"@{team}" in approvers for team in token.teams)
