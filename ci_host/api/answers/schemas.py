"""Schemas: the forms of answers put into the OpenAPI document, each under its name."""

from typing import Any

import msgspec

from ci_host.api.answers.table import ANSWERS

JSON = "application/json"
PLACE = "#/components/schemas/"


def with_answers(document: dict[str, Any]) -> dict[str, Any]:
    """The document, with the form of whatever is answered as JSON."""
    (*_, forms) = msgspec.json.schema_components(ANSWERS.values(), ref_template=PLACE + "{name}")
    known = document.setdefault("components", {}).setdefault("schemas", {})
    for name, form in forms.items():
        # Some are in what is asked, too.
        known.setdefault(name, form)
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            answer = ANSWERS.get(f"{method.upper()} {path}")
            if answer is not None:
                _good(told)["schema"] = {"$ref": PLACE + answer.__name__}
    return document


def _good(told: dict[str, Any]) -> dict[str, Any]:
    contents = (one["content"] for code, one in told["responses"].items() if code[0] == "2")
    found: dict[str, Any] = next(one[JSON] for one in contents if JSON in one)
    return found
