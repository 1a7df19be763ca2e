"""Forms: what a browser's form says, in the types that the API's own acts take."""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from ci_host.api.bodies import read_form
from ci_host.api.problems import Problem
from pipelines.commands import GateTerms, InputRule
from pipelines.priority import LEVELS, Priority

INPUT = "input."

Body = TypeVar("Body", bound=BaseModel)


async def sent_by_button(request: Request, kind: type[Body], of: str) -> Body:
    """The fields that a page's button has with it. Raises Problem: another sent them."""
    try:
        return kind.model_validate(dict(await read_form(request)))
    except ValidationError as error:
        raise Problem(422, f"No such {of}", "Use the button of the page.") from error


def priority_of(form: dict[str, str]) -> Priority | None:
    """The priority that was chosen; None: the form did not ask. Raises Problem."""
    level = form.get("priority", "")
    if level in ("", *LEVELS):
        return Priority(level) if level else None
    said = f"A priority is one of {', '.join(LEVELS)}; {level!r} is not. Go back."
    raise Problem(422, "No such priority", said)


def gate_inputs(terms: GateTerms, form: dict[str, str]) -> dict[str, Any]:
    """The inputs of a gate, typed; a box that is not ticked is no field. Raises Problem."""
    entered: dict[str, Any] = {}
    for name, kind in terms.inputs.items():
        text = form.get(INPUT + name)
        if not _is_left_out(kind, terms.rules.get(name, InputRule()), text):
            entered[name] = _typed(name, kind, text)
    return entered


def _is_left_out(kind: str, rule: InputRule, text: str | None) -> bool:
    """Whether its default shall stand. An empty text is a text, where there is one by default."""
    if rule.required or kind == "bool" or text:
        return False
    return text is None or kind != "str" or rule.default is None or bool(rule.choices)


def _typed(name: str, kind: str, text: str | None) -> Any:  # noqa: ANN401 of the type that kind names
    if kind == "bool":
        return text is not None
    if text is None:
        raise Problem(422, "Something is missing", f"The gate asks for {name!r} ({kind}).")
    try:
        return {"int": int, "float": float}.get(kind, str)(text)
    except ValueError:
        said = f"{name!r} must be of type {kind}; {text!r} is not. Go back."
        raise Problem(422, "Not of the right type", said) from None
