"""Concurrency: which Runs of a repository must not run at once. Declared by `on.concurrency`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from staunch.event import Event

Policy = Literal["queue", "cancel", "replace", "reject"]
Key = str | Callable[[Event], str | None]

KEY_CHARS_MAX = 256


@dataclass(frozen=True, slots=True)
class Concurrency:
    """One declaration; `key` is the group's name, or what finds it for an event."""

    key: Key
    policy: Policy

    def group_of(self, event: Event) -> dict[str, Any] | None:
        """The OpenGroup in its wire form; None: this Run is in no group."""
        key = self.key(event) if callable(self.key) else self.key
        if key is None:
            return None
        if not isinstance(key, str) or not 0 < len(key) <= KEY_CHARS_MAX:
            raise ValueError(
                f"on.concurrency's key must be a text of 1 to {KEY_CHARS_MAX} characters, or None"
                f" for no group, not {key!r}"
            )
        return {"key": key, "policy": self.policy}


def declared(key: object, policy: object) -> Concurrency:
    """The declaration. Raises TypeError or ValueError for a wrong one."""
    if not isinstance(key, str) and not callable(key):
        raise TypeError(f"on.concurrency's key must be a text or a function, not {key!r}")
    if policy not in get_args(Policy):
        raise ValueError(
            f"on.concurrency's policy must be one of {', '.join(get_args(Policy))}, not {policy!r}"
        )
    return Concurrency(key, policy)  # type: ignore[arg-type]
