"""Mutations: a payload of a forge, changed at a few places as nobody who documents it would.

Which ones is said by `below(n)`, a choice from 0 to n - 1: hypothesis or atheris makes it.
"""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

Below = Callable[[int], int]
Place = tuple[str | int, ...]

CHANGES_MAX = 4
DEEP: list[Any] = []
for _ in range(120):
    DEEP = [DEEP]
# Each has been somebody's crash: of types, of sizes, of what a text may hold.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53 + 1, -(2**63), 2**64, 10**400, 0.5, 1e308),
    *("", " ", "\0", "\n", "\ud800", "\udfff\ud800", "\u202e", "é", "٣", "\U0010ffff"),
    *("0" * 40, "a" * 40, "a" * 12, "A" * 40, "0" * 64, "a" * 64, "HEAD", "null", "true", "-1"),
    *("refs/heads/x", "refs/tags/x", "refs/", "refs/heads/..", "refs/pull/1/head", "-x", "$(id)"),
    *("opened", "created", "deleted", "/staunch rerun", "/staunch ok-to-test " + "a" * 40),
    "/staunch approve go live " + "a" * 40,
    *("x" * 300, "x" * 70_000, "{" + "0" * 36 + "}", "a/b", "../..", "a/b/c", "http://[::1", "%"),
    *([], {}, [[]], [{}], [None], {"": {}}, DEEP, [1] * 3_000, {"id": {}}, {"name": []}),
)
TAILS = ("\0", "\n", "\ud800", "'", '"', "`$(id)`", "/../x", " ", "é", "\\", "x" * 300, ";--")


def mutated(payload: Any, below: Below) -> Any:
    """A changed copy."""
    changed = copy.deepcopy(payload)
    for _ in range(1 + below(CHANGES_MAX)):
        places = [place for place in _places(changed) if place]
        if not places:
            return copy.deepcopy(VALUES[below(len(VALUES))])
        _change(changed, places, below)
    return changed


def written(payload: Any, below: Below) -> str | bytes:
    """As a body: mostly JSON as it should be, at times cut off or with other bytes in it."""
    body = json.dumps(payload).encode()
    match below(12):
        case 0:
            return body[: below(len(body) + 1)]
        case 1:
            at = below(len(body))
            return body[:at] + bytes([below(256)]) + body[at + 1 :]
        case 2:
            # Surrogates and all, as no escape.
            return json.dumps(payload, ensure_ascii=False).encode("utf-8", "surrogatepass")
        case 3:
            # The first field once more, at the end.
            return body[:-1] + b"," + body[1:] if body.startswith(b'{"') else body
        case _:
            return body.decode()


def _change(payload: Any, places: list[Place], below: Below) -> None:
    place = places[below(len(places))]
    parent, last = _at(payload, place[:-1]), place[-1]
    value = parent[last]
    match below(8):
        case 0:
            del parent[last]
        case 1:
            parent[last] = copy.deepcopy(_at(payload, places[below(len(places))]))
        case 2:
            parent[last] = [value]
        case 3:
            parent[last] = {str(last): value}
        case 4 if isinstance(parent, list):
            parent.extend(copy.deepcopy(parent) * below(4))
        case 4:
            parent[str(VALUES[below(len(VALUES))])[:400]] = value
        case 5 if isinstance(value, str):
            parent[last] = value[: below(len(value) + 1)] + TAILS[below(len(TAILS))]
        case 5 if isinstance(value, int):
            parent[last] = str(value)
        case _:
            parent[last] = copy.deepcopy(VALUES[below(len(VALUES))])


def _at(payload: Any, place: Place) -> Any:
    for key in place:
        payload = payload[key]
    return payload


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    yield place
    # Deeper than any payload, and short of what Python recurses.
    if len(place) > 20:
        return
    for key in (
        value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    ):
        yield from _places(value[key], (*place, key))
