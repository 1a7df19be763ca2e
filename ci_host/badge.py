"""Badge: who may see, without logging in, how a branch of a Repo stands. Pure.

A Repo's badge is nobody's until an administrator declares it public, or gives out its key. It tells
one word about a branch whose name is known, and no more.
"""

import hmac

import msgspec


class BadgeRule(msgspec.Struct, frozen=True, kw_only=True):
    """Of a Repo (its id). `is_public`: its badges are for everybody; `key`: the word in an address
    that shows them to whoever has the address; empty: there is none. `by` set it, `at` then."""

    repo: str
    is_public: bool = False
    key: str = ""
    by: str = ""
    at: float = 0.0


def shows(rule: BadgeRule | None, key: str) -> bool:
    """Whether a badge is shown to somebody whose address has this key."""
    if rule is None:
        return False
    given = key.encode("utf-8", "replace")
    is_known = bool(rule.key) and hmac.compare_digest(rule.key.encode(), given)
    return rule.is_public or is_known
