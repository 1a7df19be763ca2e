"""Supposed: what a step hands over that nobody has done, and that is taken to have gone well.

Shared by the guest, where a run has only some of its steps done, and by what plans a run without
doing any. Not for pipeline authors. Requests, terms and rules are in their wire form.
"""

import math
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from staunch.causes import is_among
from staunch.entered import WrongInput, complete

# In place of the id of an earlier Run, of a result that was only supposed.
SUPPOSED = "supposed"
SOMEBODY = "somebody"
# Of artifacts that nobody has kept.
NO_DIGEST = "supposed" * 8

_COUNT = re.compile(r"#\d+(?=/|$)")


def is_named(key: str, names: Sequence[str]) -> bool:
    """Whether one of these names, or globs, is this step's, or that of a scope that it is in.

    A step that was asked for several times (`poll#2`) has the name of the first, too.
    """
    keys = {key, _COUNT.sub("", key)}
    return any(
        one == name or fnmatchcase(one, name) or fnmatchcase(one, f"{name}/*")
        for name in names
        for one in keys
    )


def said_of(key: str, values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What was said of this step by its name; an exact name goes before a glob."""
    if key in values:
        return dict(values[key])
    return next((dict(said) for name, said in values.items() if is_named(key, [name])), {})


def job_value(request: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Of a job that succeeded, as a result holds it; `said` are its outputs."""
    value: dict[str, Any] = {"exit_code": 0}
    if said:
        value["outputs"] = dict(said)
    if request.get("artifacts"):
        value["artifacts"] = [
            {"name": name, "digest": NO_DIGEST, "size": 1, "files": 1}
            for name in request["artifacts"]
        ]
    return value


def answer(terms: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any] | None:
    """How a gate is approved, by as many as it needs, with what fits where nothing was said.

    None: nobody may approve it, or of one of its inputs nothing can be supposed.
    """
    by = answering(terms["approvers"], terms["barred"], terms["needed"])
    inputs = fitting_inputs(terms["inputs"], terms["rules"], said)
    try:
        inputs = complete(terms["inputs"], terms["rules"], inputs)
    except WrongInput:
        return None
    return {"by": by, "inputs": inputs, "comment": ""} if by else None


def answering(approvers: Sequence[str], barred: Sequence[str], count: int) -> list[str]:
    """So many who may answer a gate; empty: there are not so many."""
    names = [name for name in approvers if not name.startswith("@")]
    if not approvers or len(names) < len(approvers):
        names += [SOMEBODY, *(f"{SOMEBODY}-{number}" for number in range(2, count + 2))]
    free = [name for name in names if not is_among(name, barred)]
    return free[:count] if len(free) >= count else []


def fitting_inputs(
    types: Mapping[str, str], rules: Mapping[str, Mapping[str, Any]], said: Mapping[str, Any]
) -> dict[str, Any]:
    """What was said, and something that fits for each other input that must be entered."""
    found = dict(said)
    for name, kind in types.items():
        rule = rules.get(name, {})
        if name not in found and rule.get("required", True):
            found[name] = _fitting(name, kind, rule)
    return found


def payload(match: Mapping[str, Any] | None, said: Mapping[str, Any]) -> dict[str, Any] | None:
    """Of a signal: what was said of it, and the fields that are asked for, by dotted paths too."""
    found: dict[str, Any] = {}
    for path, value in (match or {}).items():
        *above, last = path.split(".")
        inner = found
        for part in above:
            deeper = inner.setdefault(part, {})
            inner = deeper if isinstance(deeper, dict) else {}
        inner[last] = value
    return {**found, **said} or None


def _fitting(name: str, kind: str, rule: Mapping[str, Any]) -> Any:
    if rule.get("choices"):
        return rule["choices"][0]
    if kind == "str":
        return name[: rule.get("max_length")]
    if kind == "bool":
        return True
    least, most = rule.get("min"), rule.get("max")
    number = 1 if most is None else min(1, math.floor(most))
    number = number if least is None else max(number, math.ceil(least))
    return float(number) if kind == "float" else int(number)
