"""Answer forms: whether an answer has the form that the API's own description gives it.

Stricter than the description: what it does not name must not be there. Clients ignore what they do
not know; whoever adds a field here has to name it.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

import jsonschema_rs

from ci_host.api.app import create_app

JSON = "application/json"


class _NoServices:
    directory = inbox = told = None


@cache
def described() -> "AnswerForms":
    """Those of the API as it is."""
    return AnswerForms(create_app(cast(Any, _NoServices())).openapi())


class AnswerForms:
    """Of one OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = _closed(document["components"])
        self._schemas = dict(_schemas(document))
        self._paths = [(re.compile(_pattern(path)), path) for path in document["paths"]]
        self._made: dict[str, jsonschema_rs.Validator] = {}

    def wrong(self, label: str, answer: object) -> list[str]:
        """What of an answer is not as it is said to be; `label`: method and path as described."""
        if label not in self._made:
            schema = {**self._schemas[label], "components": self._components}
            self._made[label] = jsonschema_rs.validator_for(schema)
        return [
            f"{label} {'.'.join(map(str, one.instance_path))}: {one.message}"
            for one in self._made[label].iter_errors(answer)
        ]

    def label(self, method: str, path: str) -> str:
        """The route that an address is of; empty: none that answers JSON."""
        bare = path.partition("?")[0]
        names = [f"{method} {name}" for pattern, name in self._paths if pattern.fullmatch(bare)]
        # The one with the fewest places is meant, as with the app's own routes.
        known = sorted(
            (one for one in names if one in self._schemas), key=lambda one: one.count("{")
        )
        return known[0] if known else ""


def _schemas(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            for code, one in told["responses"].items():
                if code[0] == "2" and JSON in one.get("content", {}):
                    yield f"{method.upper()} {path}", one["content"][JSON].get("schema", {})
                    break


def _places(label: str) -> int:
    return label.count("{")


def _pattern(path: str) -> str:
    named = re.split(r"(\{[^}]*\})", path)
    # A step's key may have slashes in it.
    places = {"{key}": ".+"}
    return "".join(
        places.get(one, "[^/]+") if one.startswith("{") else re.escape(one) for one in named
    )


def _closed(schema: Any) -> Any:
    """With nothing allowed that has no name."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _closed(one) for name, one in schema.items()}
    if found.get("type") == "object" and "properties" in found:
        found.setdefault("additionalProperties", False)
    return found
