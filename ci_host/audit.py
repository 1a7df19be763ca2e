"""Audit: the record of what a person did that changes something. Pure."""

import msgspec

# What of a request is worth a record, and is never a secret.
NAMED = (
    *("repo", "repos", "name", "environment", "pool", "org", "scope", "refs", "event", "at_once"),
    *("connection", "id", "kind", "external_id", "url", "number", "commit", "ref"),
    *("pipeline", "approved", "decision", "key", "tier", "teams", "admin", "days", "from_step"),
)
TEXT_CHARS_MAX = 300


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """`act` is the route's method and path as declared; `on` what its path and its body name.

    `by` is a person's name and `token` the id of the key that was used; `address` where the request
    came from; `status` what was answered; `at` when, in seconds since the epoch.
    """

    at: float
    by: str
    token: str
    act: str
    on: dict[str, str] = {}
    address: str = ""
    status: int = 0


def named(*given: object) -> dict[str, str]:
    """What these mappings name, as text; whatever may be a secret is left out."""
    found: dict[str, str] = {}
    for one in given:
        if isinstance(one, dict):
            said = {name: one[name] for name in NAMED if one.get(name) not in (None, "", [], {})}
            found |= {name: str(value)[:TEXT_CHARS_MAX] for name, value in said.items()}
    return found
