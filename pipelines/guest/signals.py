"""Signals: which wait takes which. The oldest that fits goes to the oldest wait; others are kept.

A signal is `{"number", "id", "name", "payload", "by"}`, numbered in the order in which they came,
so that one which is given back takes its old place.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

Signal = dict[str, Any]


@dataclass(slots=True)
class _Wait:
    names: list[str]
    match: dict[str, Any] | None
    due: float | None
    signal: "asyncio.Future[Signal]"

    def takes(self, signal: Signal) -> bool:
        return signal["name"] in self.names and fits(signal["payload"], self.match)


class Signals:
    """One Run's waits, and the signals that nobody has taken."""

    def __init__(self, new_future: "Callable[[], asyncio.Future[Signal]]") -> None:
        self._new_future = new_future
        self._waits: dict[str, _Wait] = {}
        self._kept: dict[str, deque[Signal]] = {}
        self._seen: set[str] = set()

    def open(
        self, key: str, names: list[str], match: dict[str, Any] | None, due: float | None
    ) -> "asyncio.Future[Signal]":
        """Want one of these; take the oldest that is there."""
        wait = self._waits[key] = _Wait(names, match, due, self._new_future())
        fitting = [
            signal
            for name in names
            if (signal := next(filter(wait.takes, self._kept.get(name, ())), None)) is not None
        ]
        if fitting:
            oldest = min(fitting, key=_number)
            self._kept[oldest["name"]].remove(oldest)
            wait.signal.set_result(oldest)
        return wait.signal

    def close(self, key: str, unused: "asyncio.Future[Signal] | None") -> None:
        """No more; one that came too late for its wait is there for the next."""
        wait = self._waits.pop(key, None)
        if wait is not None and unused is not None and unused.done() and not unused.cancelled():
            self._deliver(unused.result())

    def sent(self, body: dict[str, Any]) -> None:
        """One more; the same id twice is one signal."""
        if body["id"] in self._seen:
            return
        self._seen.add(body["id"])
        number = len(self._seen)
        told = {name: body.get(name) for name in ("id", "name", "payload", "by")}
        self._deliver({"number": number, **told})

    def kept(self) -> list[Signal]:
        """Every KeptSignal in its wire form, oldest first."""
        signals = sorted((one for kept in self._kept.values() for one in kept), key=_number)
        parts = ("id", "name", "payload", "by")
        return [{p: one[p] for p in parts if one[p] is not None} for one in signals]

    def clear(self) -> None:
        """Nobody waits any more."""
        self._waits.clear()

    def wanted(self) -> list[dict[str, Any]]:
        """Every OpenWait in its wire form."""
        return [
            {
                "key": key,
                "name": wait.names[0],
                "due": wait.due,
                **({"names": wait.names} if len(wait.names) > 1 else {}),
                **({"match": wait.match} if wait.match is not None else {}),
            }
            for key, wait in self._waits.items()
        ]

    def _deliver(self, signal: Signal) -> None:
        for wait in self._waits.values():
            if not wait.signal.done() and wait.takes(signal):
                wait.signal.set_result(signal)
                return
        kept, number = self._kept.setdefault(signal["name"], deque()), _number(signal)
        # From the end: where nothing was given back, it is the last.
        later = sum(1 for _ in takewhile(lambda one: _number(one) > number, reversed(kept)))
        kept.insert(len(kept) - later, signal)


def fits(payload: Any, match: dict[str, Any] | None) -> bool:
    """Whether the payload has every expected field: by its name, or by its dotted path."""
    return all(_has(payload, path, expected) for path, expected in (match or {}).items())


def _has(payload: Any, path: str, expected: Any) -> bool:
    if isinstance(payload, dict) and path in payload:
        return _same(payload[path], expected)
    for part in path.split("."):
        if not isinstance(payload, dict) or part not in payload:
            return False
        payload = payload[part]
    return _same(payload, expected)


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON is: to Python, True is 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _number(signal: Signal) -> int:
    number: int = signal["number"]
    return number
