"""Access: who may do what here. Tokens name a person and their teams; secrets are kept as digests.

Pure. Which route asks for what is in `api/permissions.py`; whether somebody may open a Gate is
decided here, and again by nobody else: the answer is recorded with the name.
"""

import hashlib
import secrets
from collections.abc import Sequence
from enum import StrEnum

import msgspec

PREFIX = "stn_"
ID_CHARS = 12


class Level(StrEnum):
    """What somebody may do: read; act too (start, cancel, open gates); change settings too."""

    READ = "read"
    ACT = "act"
    ADMIN = "admin"

    def covers(self, wanted: "Level") -> bool:
        """Whether whoever has this one may do what takes the other."""
        order = list(Level)
        return order.index(self) >= order.index(wanted)


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A person's key. `digest` is the sha256 of the secret; revoked ones stay, to be refused.

    `scope` is what it is good for, in the Repos with these ids; none: everywhere. `admin`: it may
    change the settings of the installation, which none that is narrowed to Repos may.
    `expires_at`: seconds since the epoch; 0: never. `connection`: who holds it logged in at that
    Forge, where they are `user`, which stays, and `login`, today's name; the Forge is asked what
    they may do in each of its Repos, and of others they see none. `made_with`: the key by which a
    command line was let in, with which it ends. `form`: what the page's form was called that made
    it, which makes no other.
    """

    digest: str
    name: str
    teams: list[str] = []
    admin: bool = False
    created_at: float = 0.0
    revoked: bool = False
    scope: Level = Level.ACT
    repos: list[str] = []
    expires_at: float = 0.0
    by: str = ""
    connection: str = ""
    user: str = ""
    login: str = ""
    made_with: str = ""
    form: str = ""

    @property
    def id(self) -> str:
        """What lists call it."""
        return id_of_digest(self.digest)

    @property
    def person(self) -> str:
        """Whose key it is, the same for all of their keys: by name, or as their Forge knows them
        for ever. The two are never mixed up: no name begins so."""
        return f"\n{self.connection} {self.user}" if self.connection else self.name

    @property
    def level(self) -> Level:
        """What it is good for, where it is good for anything."""
        return Level.ADMIN if self.admin else self.scope

    @property
    def is_narrowed(self) -> bool:
        """Whether there are Repos that it does not see."""
        return bool(self.repos or self.connection)

    def holds(self, now: float) -> bool:
        """Whether it is good still."""
        return not self.revoked and (not self.expires_at or now < self.expires_at)

    def level_in(self, repo: str) -> Level | None:
        """What it is good for in a Repo, by its id; None: not even to know of it. Of one that was
        logged in for, only its Forge can say."""
        assert not self.connection, "the Forge is asked"
        return self.level if not self.repos or repo in self.repos else None


def digest_of_secret(secret: str) -> str:
    """What is kept of a secret. It is 32 random bytes, so one plain digest is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def id_of_digest(digest: str) -> str:
    """What lists call a token. It says nothing of the secret."""
    return digest[:ID_CHARS]


def new_secret() -> str:
    """A fresh secret, recognisable by its prefix."""
    return PREFIX + secrets.token_urlsafe(32)


def may_open(token: Token, approvers: Sequence[str]) -> bool:
    """Whether this person is one of a Gate's approvers: by name or `@team`; empty: anybody."""
    if not approvers:
        return True
    return token.name in approvers or any(f"@{team}" in approvers for team in token.teams)
