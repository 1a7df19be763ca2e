"""Gates: those that are open, and which answers open them.

Who is in a team the host has checked; names are checked here too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from staunch.causes import is_among
from staunch.entered import WrongInput, complete

if TYPE_CHECKING:
    import asyncio

Terms = dict[str, Any]
Decision = dict[str, Any]


class Tally:
    """The answers accepted so far at one Gate: one person, one answer."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.approved_by: list[str] = []
        self.inputs: dict[str, Any] = {}
        self.comment = ""

    def add(self, answer: dict[str, Any]) -> dict[str, Any] | None:
        """Take an answer in; the decision, where it brings one. What does not count is ignored."""
        by = answer["by"]
        if by in self.approved_by or not _may_answer(self.terms, by):
            return None
        if not answer["approved"]:
            comment = answer.get("comment", "")
            return {"approved": False, "by": [by], "inputs": {}, "comment": comment}
        try:
            entered = complete(self.terms["inputs"], self.terms["rules"], answer.get("inputs", {}))
        except WrongInput:
            return None
        self.approved_by.append(by)
        self.inputs = entered
        self.comment = answer.get("comment", "")
        if len(self.approved_by) < self.terms["needed"]:
            return None
        return {
            "approved": True,
            "by": list(self.approved_by),
            "inputs": self.inputs,
            "comment": self.comment,
        }


@dataclass(slots=True)
class _Gate:
    tally: Tally
    decision: "asyncio.Future[Decision]"


class Gates:
    """One Run's open gates."""

    def __init__(self, new_future: "Callable[[], asyncio.Future[Decision]]") -> None:
        self._new_future = new_future
        self._gates: dict[str, _Gate] = {}

    def open(self, key: str, terms: Terms) -> "asyncio.Future[Decision]":
        """Want answers."""
        self._gates[key] = _Gate(Tally(terms), self._new_future())
        return self._gates[key].decision

    def close(self, key: str) -> None:
        """No more answers."""
        self._gates.pop(key, None)

    def answered(self, answer: dict[str, Any]) -> None:
        """A person's answer."""
        gate = self._gates.get(answer["key"])
        if gate is None or gate.decision.done():
            return
        decision = gate.tally.add(answer)
        if decision is not None:
            gate.decision.set_result(decision)

    def clear(self) -> None:
        """Nobody waits any more."""
        self._gates.clear()

    def wanted(self) -> list[dict[str, Any]]:
        """Every OpenGate in its wire form."""
        return [
            {"key": key, "terms": gate.tally.terms, "approved_by": gate.tally.approved_by}
            for key, gate in self._gates.items()
        ]


def _may_answer(terms: Terms, by: str) -> bool:
    if is_among(by, terms["barred"]):
        return False
    approvers = terms["approvers"]
    # Who is in a team is known to the host alone, and it lets only those answer.
    return not approvers or by in approvers or any(name.startswith("@") for name in approvers)
