"""Pauses: the Steps whose next Attempt waits for its time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


@dataclass(slots=True)
class _Pause:
    attempt: int
    due: float
    over: "asyncio.Future[None]"


class Pauses:
    """One Run's pauses."""

    def __init__(self, new_future: "Callable[[], asyncio.Future[None]]") -> None:
        self._new_future = new_future
        self._pauses: dict[str, _Pause] = {}

    def open(self, key: str, attempt: int, due: float) -> "asyncio.Future[None]":
        """Let an Attempt wait."""
        self._pauses[key] = _Pause(attempt, due, self._new_future())
        return self._pauses[key].over

    def close(self, key: str) -> None:
        """It waits no more."""
        self._pauses.pop(key, None)

    def hurried(self, wish: dict[str, Any]) -> None:
        """Somebody wants this Attempt now; one that has begun meanwhile is not hurried."""
        pause = self._pauses.get(wish["key"])
        if pause is not None and pause.attempt == wish["attempt"] and not pause.over.done():
            pause.over.set_result(None)

    def clear(self) -> None:
        """Nothing waits any more."""
        self._pauses.clear()

    def wanted(self) -> list[dict[str, Any]]:
        """Every OpenPause in its wire form."""
        return [
            {"key": key, "attempt": pause.attempt, "due": pause.due}
            for key, pause in self._pauses.items()
        ]
