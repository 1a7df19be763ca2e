"""Which answers open a Gate. Who is in a team the host has checked; names are checked here too."""

from typing import Any

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
        if by in self.approved_by or not _may_answer(self.terms["approvers"], by):
            return None
        if not answer["approved"]:
            comment = answer.get("comment", "")
            return {"approved": False, "by": [by], "inputs": {}, "comment": comment}
        entered = typed(self.terms["inputs"], answer.get("inputs", {}))
        if entered is None:
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


def _may_answer(approvers: list[str], by: str) -> bool:
    # Who is in a team is known to the host alone, and it lets only those answer.
    return not approvers or by in approvers or any(name.startswith("@") for name in approvers)


def typed(types: dict[str, str], entered: dict[str, Any]) -> dict[str, Any] | None:
    """The declared inputs in their types; None where one is missing or is something else."""
    values: dict[str, Any] = {}
    for name, type_name in types.items():
        if name not in entered:
            return None
        try:
            values[name] = _READ[type_name](entered[name])
        except (TypeError, ValueError, KeyError):
            return None
    return values


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(value)
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(value)
    number = float(value)
    if number - number != 0:
        raise ValueError(value)
    return number


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}[_text(value).lower()]


_READ = {"str": _text, "int": _whole, "float": _number, "bool": _truth}
