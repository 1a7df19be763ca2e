"""Description: what the API's OpenAPI document says of all routes alike: who may ask, how each may
be refused, and that what is unchanged is not sent again.

What a route takes and answers is said where the route is. What each needs is `permissions.py`'s.
"""

from typing import Any

from ci_host.access import Level
from ci_host.api.etags import PREFIX
from ci_host.api.permissions import Need, Place, need_of

JSON = "application/json"
PROBLEM = "application/problem+json"
KEY = "key"
ETAG_EXAMPLE = 'W/"d260a30b61030c6bae0c1d70c667b28d"'

PROBLEM_SCHEMA = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `detail` says what happened, to what, and what to do next.",
    "required": ["title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "default": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
# By their names in `components/responses`: status, what it means, and how it may read.
REFUSALS: dict[str, tuple[str, str, str, str]] = {
    "NoKey": ("401", "No key, or none that is good", "Who are you?",
              "Send `Authorization: Bearer <token>`."),
    "NotAllowed": ("403", "Somebody is known, and may not", "Not allowed",
                   "ada may read, and this takes act: `staunch token add --scope act`."),
    "NotThere": ("404", "There is none, or it is not yours to see", "No such run",
                 "There is no run 'nope'; `staunch runs` lists them."),
    "Malformed": ("422", "The request is not of the form that it must have",
                  "The request is not of the form it must have",
                  "query.limit: Input should be greater than or equal to 1"),
    "Away": ("503", "Something that it needs is away: nothing was done, ask again",
             "The store does not answer", "No answer within 5 s; try again in a moment"),
    "Refused": ("default", "Refused for another reason, which `title` and `detail` say",
                "Not accepted", "The run is over."),
}  # fmt: skip
# What FastAPI says by itself, and is not so here.
NOT_OURS = ("HTTPValidationError", "ValidationError")


def answers(kind: str, example: str = "") -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers no JSON. Without an example: bytes."""
    schema = {"type": "string"} if example else {"type": "string", "format": "binary"}
    content: dict[str, Any] = {"schema": schema} | ({"example": example} if example else {})
    return {200: {"content": {kind: content}}}


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """The document, with all of it."""
    components = document.setdefault("components", {})
    for name in NOT_OURS:
        components.get("schemas", {}).pop(name, None)
    components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    components["responses"] = {name: _refusal(*told) for name, told in REFUSALS.items()}
    components["parameters"] = {
        "IfNoneMatch": {
            "name": "If-None-Match",
            "in": "header",
            "description": "The `ETag` of an answer that you have: unchanged, it is a 304.",
            "schema": {"type": "string"},
            "example": ETAG_EXAMPLE,
        }
    }
    components["securitySchemes"] = {
        KEY: {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of `staunch token add`. The role is the scope that it must"
            " have: read, act or admin.",
        }
    }
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            _complete(method.upper(), path, told)
    return document


def _complete(method: str, path: str, told: dict[str, Any]) -> None:
    need = need_of(method, path.replace("{key}", "{key:path}"))
    is_open = need.place is Place.OPEN
    told["security"] = [] if is_open else [{KEY: [need.level.value]}]
    takes = bool(told.get("parameters") or "requestBody" in told)
    if method == "GET" and path.startswith(PREFIX):
        _with_etag(told)
    told["responses"].pop("422", None)
    for status, one in told["responses"].items():
        if status >= "400" and "content" not in one:
            one["content"] = _problem(int(status), one["description"], one["description"])
    for name in _refusals_of(need, path, takes):
        # What a route says of a refusal itself is more.
        told["responses"].setdefault(REFUSALS[name][0], {"$ref": f"#/components/responses/{name}"})


def _refusals_of(need: Need, path: str, takes: bool) -> list[str]:
    is_open = need.place is Place.OPEN
    may_lack = not is_open and (need.level is not Level.READ or need.place is Place.HERE)
    is_about_one = "{" in path or need.place is Place.REPO
    return [
        *([] if is_open else ["NoKey"]),
        *(["NotAllowed"] if may_lack else []),
        *(["NotThere"] if is_about_one else []),
        *(["Malformed"] if takes else []),
        "Away",
        "Refused",
    ]


def _with_etag(told: dict[str, Any]) -> None:
    good = told["responses"].get("200", {})
    if JSON not in good.get("content", {}):
        return
    header = {"schema": {"type": "string"}, "example": ETAG_EXAMPLE}
    good["headers"] = {"ETag": header}
    told["responses"]["304"] = {
        "description": "As it was when it had the ETag of `If-None-Match`",
        "headers": {"ETag": header},
    }
    told.setdefault("parameters", []).append({"$ref": "#/components/parameters/IfNoneMatch"})


def _refusal(status: str, meaning: str, title: str, detail: str) -> dict[str, Any]:
    number = 409 if status == "default" else int(status)
    made: dict[str, Any] = {"description": meaning, "content": _problem(number, title, detail)}
    if number == 503:
        made["headers"] = {
            "Retry-After": {"description": "Seconds", "schema": {"type": "integer"}, "example": 2}
        }
    return made


def _problem(status: int, title: str, detail: str) -> dict[str, Any]:
    example = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
