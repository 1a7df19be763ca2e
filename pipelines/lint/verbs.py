"""Verbs: names that the SDK does not have: of step, of on, of event, and of the package."""

import ast
import difflib
from collections.abc import Iterable, Iterator

import staunch
from staunch.step import VERBS

from pipelines.lint.calls import Calls
from pipelines.lint.finding import Finding
from pipelines.lint.project import Project
from pipelines.lint.sdk import TRIGGERS
from pipelines.lint.source import Source


def check(source: Source, calls: Calls, _: Project) -> Iterator[Finding]:
    """Every attribute of a Step, of `on`, and of the Event; every import from the package."""
    events = [name for name in dir(staunch.Event) if not name.startswith("_")]
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "staunch" and not node.level:
            yield from _imported(source, node)
        if not isinstance(node, ast.Attribute) or node.attr.startswith("_"):
            continue
        if calls.is_step(node.value):
            yield from _unknown(source, node, "unknown-verb", "step", (*VERBS, "usage"))
        elif source.names.dotted(node.value) == "staunch.on":
            yield from _unknown(source, node, "unknown-trigger", "on", TRIGGERS)
        elif source.names.dotted(node.value) == "staunch":
            if not hasattr(staunch, node.attr):
                yield from _unknown(source, node, "unknown-name", "staunch", staunch.__all__)
        elif calls.is_event(node.value):
            yield from _unknown(source, node, "unknown-field", "event", events)


def _imported(source: Source, node: ast.ImportFrom) -> Iterator[Finding]:
    for one in node.names:
        if one.name != "*" and not hasattr(staunch, one.name):
            message = f"staunch has no {one.name!r}"
            yield source.finding(one, "unknown-name", message, _fix(one.name, "", staunch.__all__))


def _unknown(
    source: Source, node: ast.Attribute, rule: str, of: str, names: Iterable[str]
) -> Iterator[Finding]:
    if node.attr not in names:
        message = f"there is no {of}.{node.attr}"
        yield source.finding(node, rule, message, _fix(node.attr, f"{of}.", names))


def _fix(name: str, prefix: str, names: Iterable[str]) -> str:
    known = list(names)
    near = difflib.get_close_matches(name, known, 1)
    return f"write {prefix}{near[0]}" if near else f"there are {', '.join(known)}"
