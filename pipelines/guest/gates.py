"""Which answers open a Gate. Who is in a team the host has checked; names are checked here too."""

from typing import Any

from staunch.causes import is_among
from staunch.entered import WrongInput, complete

Terms = dict[str, Any]


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


def _may_answer(terms: Terms, by: str) -> bool:
    if is_among(by, terms["barred"]):
        return False
    approvers = terms["approvers"]
    # Who is in a team is known to the host alone, and it lets only those answer.
    return not approvers or by in approvers or any(name.startswith("@") for name in approvers)
