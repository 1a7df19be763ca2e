"""Handling: what keeps a cancelled or timed-out plan from ending."""

import ast
from collections.abc import Iterator

from pipelines.lint.calls import Calls
from pipelines.lint.finding import Finding
from pipelines.lint.project import Project
from pipelines.lint.source import Source

_ENDS = frozenset({"builtins.BaseException", "asyncio.CancelledError", "builtins.GeneratorExit"})


def check(source: Source, _: Calls, __: Project) -> Iterator[Finding]:
    """Every handler around an await that takes what ends a plan, and does not pass it on."""
    for node in source.nodes:
        if not isinstance(node, ast.Try | ast.TryStar) or not _waits(source, node):
            continue
        for handler in node.handlers:
            what = _taken(source, handler)
            if what and not any(isinstance(one, ast.Raise) for one in ast.walk(handler)):
                yield source.finding(
                    handler,
                    "swallowed-cancel",
                    f"{what} takes a cancel too, so that the run cannot be ended here",
                    "write `except Exception:`, or end the handler with `raise`",
                )
            if what:
                break


def _waits(source: Source, node: ast.Try | ast.TryStar) -> bool:
    function = source.names.function_of(node)
    return any(
        isinstance(one, ast.Await) and source.names.function_of(one) is function
        for part in node.body
        for one in ast.walk(part)
    )


def _taken(source: Source, handler: ast.ExceptHandler) -> str:
    if handler.type is None:
        return "a bare `except:`"
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    for one in types:
        if source.names.dotted(one) in _ENDS:
            return f"`except {source.segment(one)}`"
    return ""
