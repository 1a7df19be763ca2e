"""StepGroups: Steps that are alike by their names, for pages on which one by one they are too many.

`shard-017/build` and `shard-018/build` are alike, and so are the combinations of a matrix and the
rounds of a loop. Pure.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

# `python=3.13,os=debian`, as a matrix names its combinations.
_VALUE = re.compile(r"(?<==)[^,=/]+")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class StepGroup:
    """Steps by their keys, in the order of the plan; alone: the group has no name."""

    name: str
    keys: tuple[str, ...]


def pattern_of(key: str) -> str:
    """The key with a star where it counts or names a value."""
    segments = key.split("/")
    return "/".join(
        _VALUE.sub("*", one) if "=" in one else _DIGITS.sub("*", one) for one in segments
    )


def groups_of(keys: Sequence[str], least: int) -> list[StepGroup]:
    """Those that are alike together if they are at least so many; else those of one scope.

    A group stands where the first of it stood.
    """
    names = _names(keys, least)
    members: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        members[names.get(key, key)].append(key)
    return [
        StepGroup(name if found[0] in names else "", tuple(found))
        for name, found in members.items()
    ]


def _names(keys: Sequence[str], least: int) -> dict[str, str]:
    alike, scopes = defaultdict(list), defaultdict(list)
    for key in keys:
        if (pattern := pattern_of(key)) != key:
            alike[pattern].append(key)
    found = {key: name for name, many in alike.items() if len(many) >= least for key in many}
    for key in keys:
        if key not in found and "/" in key:
            scopes[key.partition("/")[0]].append(key)
    return found | {
        key: f"{name}/" for name, many in scopes.items() if len(many) >= least for key in many
    }
