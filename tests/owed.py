"""Owed: one message of a queue that is handed out, and what became of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class KeptOwed(Generic[T]):
    """See ci_host.ports.Owed."""

    item: T
    times: int = 1
    waits: list[float] = field(default_factory=list)
    is_done: bool = False

    async def done(self) -> None:
        self.is_done = True

    async def later(self, delay_s: float) -> None:
        self.waits.append(delay_s)

    async def extend(self) -> None:
        """It is told at once here."""


class Feed(Generic[T]):
    """See ci_host.ports.Queue: these, once each."""

    def __init__(self, *owed: KeptOwed[T]) -> None:
        self._owed = owed

    async def __aiter__(self) -> AsyncIterator[KeptOwed[T]]:
        for one in self._owed:
            yield one
