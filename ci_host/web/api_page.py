"""API page: every route of the API as a page for people, made from its own OpenAPI description.

What a route does, and its examples, are said where the routes are; here is no text about any.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ci_host.api.auth import Here, Person
from ci_host.web.page import PageRoute, pages_of

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True, slots=True)
class Taken:
    """Something that a route is given: in its path, its query, a header or its body."""

    name: str
    place: str
    form: str
    is_required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One route with one method. `asked`, `answered`: examples as JSON; empty: there is none."""

    name: str
    method: str
    path: str
    summary: str
    description: str
    takes: list[Taken]
    asked: str
    answered: str


@router.get("/docs/api")
async def api_page(here: Here, who: Person, request: Request) -> Response:
    """Every route, with what it takes and what it answers."""
    groups = grouped(request.app.openapi())
    return pages_of(request).answer(
        request, "api.html", who=who, url=here.settings.url, groups=groups
    )


def grouped(document: Mapping[str, Any]) -> dict[str, list[Operation]]:
    """The operations of an OpenAPI description, under what they are about."""
    found: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            about = (told.get("tags") or ["others"])[0]
            found.setdefault(about, []).append(_operation(document, method, path, told))
    return dict(sorted(found.items()))


def _operation(
    document: Mapping[str, Any], method: str, path: str, told: Mapping[str, Any]
) -> Operation:
    body = _json_of(told.get("requestBody", {}))
    none: dict[str, Any] = {}
    good = next((one for code, one in told["responses"].items() if code[0] == "2"), none)
    return Operation(
        name=told["operationId"],
        method=method.upper(),
        path=path,
        summary=told.get("summary", ""),
        description=told.get("description", ""),
        takes=[*_parameters(document, told), *_fields(document, body.get("schema", {}))],
        asked=_example(body),
        answered=_example(_json_of(good)),
    )


def _json_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = content.get("content", {}).get("application/json", {})
    return found


def _example(content: Mapping[str, Any]) -> str:
    if "example" not in content:
        return ""
    return json.dumps(content["example"], indent=2, ensure_ascii=False)


def _parameters(document: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[Taken]:
    for one in told.get("parameters", []):
        if "$ref" in one:  # many routes take it; the guide says so once
            continue
        yield Taken(
            name=one["name"],
            place=one["in"],
            form=_form(document, one["schema"]),
            is_required=one.get("required", False),
            description=one.get("description", ""),
        )


def _fields(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Taken]:
    schema = _resolved(document, schema)
    for name, field in schema.get("properties", {}).items():
        yield Taken(
            name=name,
            place="body",
            form=_form(document, field),
            is_required=name in schema.get("required", []),
            description=field.get("description", ""),
        )


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    found: Mapping[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


def _form(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What a value looks like, in a few words."""
    schema = _resolved(document, schema)
    several = schema.get("anyOf") or schema.get("oneOf") or []
    if several:
        return " or ".join(dict.fromkeys(_form(document, one) for one in several))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_form(document, schema.get('items', {}))}"
    return str(schema.get("type", "anything"))
