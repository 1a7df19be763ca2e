"""Unfinished: what people have begun here who are nobody yet, in memory, bounded, for a while.

Anybody may begin something, and is known by their address; of IPv6 by its network of 64 bits, which
one machine has to itself. Who comes through a proxy that is not believed (`FORWARDED_ALLOW_IPS`)
has that one's. Where there is no room for more, whoever has begun most loses their
oldest: a flood from one address costs that address what it began, and nobody else anything.
"""

import ipaddress
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Kept(Generic[T]):
    what: T
    by: str
    until: float
    is_safe: bool = False


class Unfinished(Generic[T]):
    """At most `most` at once. `now`: seconds since the epoch."""

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most, self._now = most, now
        # The oldest first; all are good for equally long, so those that are over come first, too.
        self._kept: dict[str, _Kept[T]] = {}

    def put(self, key: str, what: T, *, by: str, until: float) -> None:
        """A new one, of somebody at this address, until then."""
        while self._kept and (first := next(iter(self._kept))) and self._is_over(first):
            del self._kept[first]
        if len(self._kept) >= self._most:
            del self._kept[self._dearest()]
        self._kept[key] = _Kept(what, _network(by), until)

    def get(self, key: str) -> T | None:
        """The one of this key, if it is not over."""
        kept = self._kept.get(key)
        return None if kept is None or self._is_over(key) else kept.what

    def hold(self, key: str) -> None:
        """Somebody who is known sees to it now: no flood takes it away any more."""
        if (kept := self._kept.get(key)) is not None:
            kept.is_safe = True

    def replace(self, key: str, what: T) -> None:
        """Somebody who is known has seen to it."""
        kept = self._kept.get(key)
        if kept is not None:
            kept.what, kept.is_safe = what, True

    def pop(self, key: str) -> T | None:
        """The one of this key, if it is not over; it is none any more."""
        found = self.get(key)
        self._kept.pop(key, None)
        return found

    def _is_over(self, key: str) -> bool:
        return self._now() >= self._kept[key].until

    def _dearest(self) -> str:
        """Of who has most, the oldest; what is safe only where there is nothing else."""
        open_ones = [(key, kept.by) for key, kept in self._kept.items() if not kept.is_safe]
        if not open_ones:
            return next(iter(self._kept))
        ((greediest, _),) = Counter(by for _, by in open_ones).most_common(1)
        return next(key for key, by in open_ones if by == greediest)


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))
