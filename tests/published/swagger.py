"""Swagger: a document of version 2.0, as Forgejo makes it of itself, in the words of OpenAPI 3.0.

Only what says how requests must be. The words of the schemas are the same in both.
"""

from typing import Any

import msgspec

METHODS = ("get", "post", "put", "patch", "delete")
# What a parameter says of itself beside its type.
PLACED = ("name", "in", "required", "description")


def as_openapi(document: bytes) -> bytes:
    """Its operations and schemas."""
    whole = msgspec.json.decode(document.replace(b'"#/definitions/', b'"#/components/schemas/'))
    paths = {
        path: {method: _operation(one) for method, one in item.items() if method in METHODS}
        for path, item in whole["paths"].items()
    }
    return msgspec.json.encode({"paths": paths, "components": {"schemas": whole["definitions"]}})


def _operation(described: dict[str, Any]) -> dict[str, Any]:
    given = described.get("parameters", [])
    assert all("$ref" not in one for one in given), "no parameter is described elsewhere"
    operation: dict[str, Any] = {
        "parameters": [_parameter(one) for one in given if one["in"] in ("path", "query")]
    }
    for body in (one for one in given if one["in"] == "body"):
        content = {"application/json": {"schema": body["schema"]}}
        operation["requestBody"] = {"required": body.get("required", False), "content": content}
    return operation


def _parameter(one: dict[str, Any]) -> dict[str, Any]:
    schema = {key: value for key, value in one.items() if key not in (*PLACED, "collectionFormat")}
    return {"name": one["name"], "in": one["in"], "required": one.get("required", False),
            "schema": schema}  # fmt: skip
