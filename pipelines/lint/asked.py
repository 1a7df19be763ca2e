"""Asked: names of secrets and pools that an installation was asked for, and has not.

Only where somebody asked one: a text alone cannot know what is kept elsewhere.
"""

import ast
import difflib
from collections.abc import Iterable, Iterator
from shlex import quote

from pipelines.lint.calls import Calls
from pipelines.lint.finding import Finding
from pipelines.lint.project import Project
from pipelines.lint.source import Source


def check(source: Source, calls: Calls, project: Project) -> Iterator[Finding]:
    """Every job whose pool and secrets are written out."""
    known = project.known
    if known is None:
        return
    for node in source.nodes:
        if not isinstance(node, ast.Call) or calls.verb(node) != "job":
            continue
        for one in node.keywords:
            if one.arg == "secrets":
                for place, name in _named(calls, one.value):
                    if name not in known.secrets:
                        message = f"{known.where} has no secret {name!r}"
                        made = f"`staunch secret set {quote(name)}` makes it"
                        fix = _fix(name, known.secrets, made)
                        yield source.finding(place, "unknown-secret", message, fix)
            elif one.arg == "pool":
                name = calls.values.of(one.value)
                if isinstance(name, str) and name not in known.pools:
                    message = f"{known.where} has no runner of pool {name!r}"
                    fix = _fix(name, known.pools, "start a runner with that --pool")
                    yield source.finding(one.value, "unknown-pool", message, fix)


def _named(calls: Calls, node: ast.expr) -> Iterator[tuple[ast.expr, str]]:
    """The secrets that surely are meant, each at its place; of a dict, the values."""
    places: list[ast.expr] = []
    if isinstance(node, ast.List | ast.Tuple):
        places = list(node.elts)
    elif isinstance(node, ast.Dict):
        places = list(node.values)
    for place in places:
        name = calls.values.of(place)
        if isinstance(name, str):
            yield place, name


def _fix(name: str, there: Iterable[str], otherwise: str) -> str:
    near = difflib.get_close_matches(name, sorted(there), 1)
    return f"write {near[0]!r}, or {otherwise}" if near else otherwise
