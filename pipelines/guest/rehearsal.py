"""Rehearsal: what an author's test (`staunch.testing`) sees and changes of a Run. A real one: none.

It may put another function in the place of one of `step.do`'s, and it hears where steps are asked
for. Nothing else of a plan is moved otherwise in a test.
"""

from collections.abc import Callable
from typing import Any, Protocol

from staunch.ledger import Site


class Rehearsal(Protocol):
    """Asked by the Books."""

    def given(self, key: str, site: Site) -> None:
        """A step was asked for here."""

    def stand_in(self, key: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        """What is called for this `do` step: `fn`, or another that is as async as it."""


class Real:
    """See Rehearsal: there is none."""

    def given(self, key: str, site: Site) -> None:
        """Nobody listens."""

    def stand_in(self, key: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        """The author's own."""
        return fn
