"""Api: the documents in which GitHub and Forgejo describe their APIs, and whether a request is one
that they describe.

Each is cut to what says how requests must be. Stricter than the documents in one point: a field or
a parameter that they do not name is wrong, since nobody there would read it.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote

import jsonschema_rs
import msgspec

from tests.published.packages import FORGEJO, OPENAPI, Package

REQUESTS = "requests.json"
METHODS = ("get", "post", "put", "patch", "delete")
# What people read.
PROSE = frozenset({"description", "example", "examples", "summary", "title", "externalDocs"})
# Below these, a schema is only one of several that hold together.
COMPOSED = ("allOf", "anyOf", "oneOf")


def requests_of(document: bytes) -> bytes:
    """The cut of an OpenAPI 3.0 document, its schemas in the words of JSON Schema draft 4."""
    whole = msgspec.json.decode(document)
    operations = {
        f"{method.upper()} {path}": _plain(
            {k: one[k] for k in ("parameters", "requestBody") if k in one}
        )
        for path, item in whole["paths"].items()
        for method, one in item.items()
        if method in METHODS
    }
    components: dict[str, dict[str, Any]] = {}
    waiting = _references(operations)
    while waiting:
        _, _, kind, name = waiting.pop().split("/")
        if name not in components.setdefault(kind, {}):
            components[kind][name] = _plain(whole["components"][kind][name])
            waiting |= _references(components[kind][name])
    return msgspec.json.encode({"operations": operations, "components": components})


def _plain(value: Any, *, is_name: bool = False) -> Any:
    """Without prose; `is_name`: its keys are names that somebody chose, not words of the schema."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {
        key: _plain(one, is_name=key == "properties" and not is_name)
        for key, one in value.items()
        if is_name or key not in PROSE
    }
    if not is_name and kept.pop("nullable", False):
        return {"anyOf": [kept, {"type": "null"}]}
    return kept


def _references(value: Any) -> set[str]:
    return set(re.findall(r'"\$ref":"([^"]+)"', msgspec.json.encode(value).decode()))


@dataclass(frozen=True)
class Operation:
    """One that a forge describes: how its path looks, and the rest as the document has it."""

    words: str
    path: re.Pattern[str]
    described: dict[str, Any]


class PublishedApi:
    """`wrong` says what a request has that the document does not know."""

    def __init__(self, cut: bytes, forge: str = "GitHub") -> None:
        self._forge = forge
        held = msgspec.json.decode(cut)
        self._components = held["components"]
        self._operations = [
            Operation(words, _pattern(words), described)
            for words, described in held["operations"].items()
        ]
        self._validators: dict[str, Any] = {}

    def wrong(self, method: str, target: str, body: bytes) -> list[str]:
        """What is wrong with it; empty: nothing. `target`: path and query, as they were sent."""
        path, _, query = target.partition("?")
        asked = f"{method} {path}"
        # The most literal of those that fit.
        fitting = [one for one in self._operations if one.path.fullmatch(asked)]
        if not fitting:
            return [f"{self._forge} has no {asked}"]
        operation = min(fitting, key=lambda one: one.words.count("{"))
        found = operation.path.fullmatch(asked)
        assert found is not None
        given = {name: unquote(value) for name, value in found.groupdict().items()}
        problems = [*self._parameters(operation, given, query), *self._body(operation, body)]
        return [f"{operation.words}: {problem}" for problem in problems]

    def _parameters(self, operation: Operation, path: dict[str, str], query: str) -> list[str]:
        described = [self._followed(one) for one in operation.described.get("parameters", [])]
        places = {"path": path, "query": dict(parse_qsl(query, keep_blank_values=True))}
        problems = [
            f"{name} is no parameter of the query"
            for name in places["query"]
            if name not in {one["name"] for one in described if one["in"] == "query"}
        ]
        for one in described:
            name = one["name"]
            given = places.get(one["in"], {}).get(name.replace("-", "_"))
            if given is None:
                problems += [f"{name} is missing"] if one.get("required") else []
                continue
            words = f"{operation.words} {name}"
            as_text = self._against(words, one["schema"], given)
            if as_text and self._against(words, one["schema"], _typed(given)):
                problems += [f"{name}: {as_text[0]}"]
        return problems

    def _body(self, operation: Operation, body: bytes) -> list[str]:
        described = operation.described.get("requestBody")
        if not body:
            return ["a body is missing"] if described and described.get("required") else []
        if described is None:
            return ["it takes no body"]
        schema = described["content"]["application/json"]["schema"]
        try:
            value = json.loads(body)
        except ValueError:
            return ["the body is no JSON"]
        return [*self._against(operation.words, schema, value), *self._unknown(schema, value, "")]

    def _against(self, words: str, schema: dict[str, Any], value: Any) -> list[str]:
        if words not in self._validators:
            rooted = {"components": self._components, **schema}
            self._validators[words] = jsonschema_rs.Draft4Validator(
                rooted, validate_formats=True, mask="what is given"
            )
        return [
            f"{'.'.join(map(str, error.instance_path)) or 'it'}: {error.message}"[:500]
            for error in self._validators[words].iter_errors(value)
        ]

    def _unknown(self, schema: dict[str, Any], value: Any, at: str) -> list[str]:
        """The fields that nothing in the schema names."""
        if isinstance(value, list):
            inner = [one["items"] for one in self._parts(schema) if "items" in one]
            return [p for s in inner[:1] for one in value for p in self._unknown(s, one, f"{at}[]")]
        if not isinstance(value, dict):
            return []
        named: dict[str, Any] = {}
        for one in self._parts(schema):
            # The first that says more than that there is such a field.
            named = {**one.get("properties", {}), **{k: v for k, v in named.items() if v}}
        if not named:
            return []
        problems = [f"{at}{name} is no field of it" for name in value if name not in named]
        for name, inner in value.items():
            problems += self._unknown(named.get(name, {}), inner, f"{at}{name}.")
        return problems

    def _parts(self, schema: dict[str, Any]) -> list[dict[str, Any]]:
        """The schema, and those that it is composed of."""
        schema = self._followed(schema)
        inner = [one for key in COMPOSED for one in schema.get(key, [])]
        return [schema, *(part for one in inner for part in self._parts(one))]

    def _followed(self, value: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in value:
            _, _, kind, name = value["$ref"].split("/")
            value = self._components[kind][name]
        return value


def _pattern(words: str) -> re.Pattern[str]:
    parts = re.split(r"\{([^}]+)\}", words)
    literal, names = parts[::2], parts[1::2]
    groups = [f"(?P<{name.replace('-', '_')}>[^/]+)" for name in names]
    return re.compile(
        "".join(a + b for a, b in zip(map(re.escape, literal), [*groups, ""], strict=True))
    )


def _typed(text: str) -> Any:
    """A parameter as the type that it looks like."""
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text


@cache
def published_api(package: Package = OPENAPI, forge: str = "GitHub") -> PublishedApi | None:
    """A forge's; None: it was not fetched, and nothing is compared with it."""
    if not package.is_there():
        return None
    return PublishedApi((package.folder / REQUESTS).read_bytes(), forge)


def wrong_at_github(method: str, target: str, body: bytes) -> list[str]:
    """What GitHub's document says against a request, wherever its API begins."""
    api = published_api()
    if api is None:
        return []
    return api.wrong(method, target.removeprefix("/api/v3"), body)


def wrong_at_forgejo(method: str, target: str, body: bytes) -> list[str]:
    """What Forgejo's document says against a request; its API is Gitea's of 1.22, and more."""
    api = published_api(FORGEJO, "Forgejo")
    if api is None:
        return []
    return api.wrong(method, target.removeprefix("/api/v1"), body)
