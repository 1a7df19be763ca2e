"""Calls: the child Runs that a plan has asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

Report = dict[str, Any]


@dataclass(slots=True)
class _Call:
    end: "asyncio.Future[Report]"
    cancelling: bool = False
    detached: bool = False


class Calls:
    """One Run's children: those whose end is not told, and those that run by themselves."""

    def __init__(self, new_future: "Callable[[], asyncio.Future[Report]]") -> None:
        self._new_future = new_future
        self._calls: dict[str, _Call] = {}

    def open(self, key: str, *, detached: bool) -> "asyncio.Future[Report]":
        """Want a child Run."""
        self._calls[key] = _Call(self._new_future(), detached=detached)
        return self._calls[key].end

    def drop(self, key: str) -> None:
        """Want its end."""
        if key in self._calls:
            self._calls[key].cancelling = True

    def finished(self, report: Report) -> bool:
        """The end of a child; False: it was told before, and is nobody's."""
        call = self._calls.get(report["key"])
        if call is None or call.detached:
            return False
        del self._calls[report["key"]]
        if not call.end.done():
            call.end.set_result(report)
        return True

    def are_cancelling(self) -> bool:
        """Whether one whose end is wanted has not ended."""
        return any(call.cancelling for call in self._calls.values())

    def end(self) -> None:
        """The end of every awaited one is wanted."""
        for call in self._calls.values():
            call.cancelling = not call.detached

    def wanted(self) -> list[dict[str, Any]]:
        """Every OpenCall in its wire form."""
        return [
            {"key": key, "cancelling": call.cancelling, "detached": call.detached}
            for key, call in self._calls.items()
        ]
