"""Handed out: the steps that a plan was given and may have forgotten to await."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from staunch.ledger import Site

PRUNE_AT = 256


class Given(NamedTuple):
    """One step, and where it was asked for."""

    verb: str
    key: str
    site: Site
    step: Coroutine[Any, Any, Any]


class HandedOut:
    """The steps that one plan has been given; those that began are let go of now and then."""

    def __init__(self) -> None:
        self._given: list[Given] = []
        self._prune_at = PRUNE_AT

    def add(self, given: Given) -> None:
        """One more."""
        self._given.append(given)
        if len(self._given) > self._prune_at:
            self._given = self._unstarted()
            self._prune_at = PRUNE_AT + 2 * len(self._given)

    def never_awaited(self) -> Given | None:
        """The first that never began; all such are closed."""
        left = self._unstarted()
        for given in left:
            given.step.close()
        self._given = []
        return left[0] if left else None

    def _unstarted(self) -> list[Given]:
        # A coroutine that has ended has no frame: that is quickly seen, and most have.
        alive = [one for one in self._given if getattr(one.step, "cr_frame", None) is not None]
        state: Callable[[Coroutine[Any, Any, Any]], str] = inspect.getcoroutinestate
        return [one for one in alive if state(one.step) == inspect.CORO_CREATED]
