"""Awaits: steps and coroutines that nobody awaits, and what is awaited and cannot be."""

import ast
from collections.abc import Iterator
from types import CoroutineType

from pipelines.lint.calls import Calls
from pipelines.lint.finding import Finding
from pipelines.lint.names import Binding
from pipelines.lint.project import Project
from pipelines.lint.sdk import awaited_verbs
from pipelines.lint.source import Source

RULE = "missing-await"
_COROUTINES = frozenset({"asyncio.sleep", "asyncio.wait", "asyncio.wait_for"})
# What uses a value at once: a coroutine in its place is true, has no fields and no items.
_USES = (
    *(ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.FormattedValue, ast.Assert),
    *(ast.If, ast.While, ast.For),
)


def check(source: Source, calls: Calls, _: Project) -> Iterator[Finding]:
    """Every call that gives something to await, and every await."""
    for node in source.nodes:
        if isinstance(node, ast.Call):
            what = _awaitable(source, calls, node)
            if what and (how := _lost(source, node, is_step=what.startswith("step."))):
                yield _missing(source, node, f"{what}(…) {how}")
        elif isinstance(node, ast.Await):
            yield from _not_awaitable(source, calls, node)


def _awaitable(source: Source, calls: Calls, node: ast.Call) -> str:
    """How it is written, if it must be awaited."""
    verb = calls.verb(node)
    if verb:
        return f"step.{verb}" if verb in awaited_verbs() else ""
    if source.names.dotted(node.func) in _COROUTINES:
        return source.names.dotted(node.func)
    binding = source.names.only(node.func) if isinstance(node.func, ast.Name) else None
    return binding.node.name if binding is not None and _is_plain_async(binding) else ""  # type: ignore[attr-defined]


def _is_plain_async(binding: Binding) -> bool:
    node = binding.node
    if not isinstance(node, ast.AsyncFunctionDef) or node.decorator_list:
        return False
    # With a yield it is an iterator, which is not awaited.
    return not any(isinstance(one, ast.Yield) for one in ast.walk(node))


def _lost(source: Source, node: ast.Call, *, is_step: bool) -> str:
    """How the coroutine gets lost, or ""."""
    parent = source.names.parent(node)
    if isinstance(parent, ast.Expr):
        return "is never awaited, so it does not happen"
    if isinstance(parent, ast.Attribute) and not hasattr(CoroutineType, parent.attr):
        return f"is not awaited, so it has no {parent.attr}"
    if isinstance(parent, _USES) or (isinstance(parent, ast.IfExp) and parent.test is node):
        return "is used as its result, and is not awaited"
    if isinstance(parent, ast.Subscript) and parent.value is node:
        return "is used as its result, and is not awaited"
    if isinstance(parent, ast.Return) and is_step:
        function = source.names.function_of(node)
        if function in source.tree.body and getattr(function, "name", "") == "run":
            return "is returned by run(), and is not awaited"
    if isinstance(parent, ast.Assign) and len(parent.targets) == 1:
        return _lost_in(source, parent.targets[0])
    return ""


def _lost_in(source: Source, target: ast.expr) -> str:
    """What becomes of a coroutine that is given a name."""
    if isinstance(target, ast.Tuple | ast.List):
        return "is taken apart as its result, and is not awaited"
    if not isinstance(target, ast.Name) or source.names.only(target) is None:
        return ""
    binding = source.names.only(target)
    uses = [
        one
        for one in source.nodes
        if isinstance(one, ast.Name)
        and one is not target
        and one.id == target.id
        and source.names.only(one) is binding
    ]
    if not uses:
        return f"is kept as {target.id}, and is never awaited"
    for one in uses:
        parent = source.names.parent(one)
        if isinstance(parent, ast.Await):
            return ""
        if isinstance(parent, ast.Attribute) and not hasattr(CoroutineType, parent.attr):
            return f"is not awaited, so {target.id} has no {parent.attr}"
    return ""


def _missing(source: Source, node: ast.Call, message: str) -> Finding:
    function = source.names.function_of(node)
    text = source.segment(node.func)
    if isinstance(function, ast.AsyncFunctionDef):
        return source.finding(node, RULE, message, f"write: await {text}(…)")
    fix = f"write: await {text}(…), in an async def; nothing waits at import or in a plain def"
    return source.finding(node, RULE, message, fix)


def _not_awaitable(source: Source, calls: Calls, node: ast.Await) -> Iterator[Finding]:
    value = node.value
    verb = calls.verb(value)
    if verb in ("set", "scope"):
        message = f"step.{verb}(…) gives nothing to await"
        yield source.finding(node, "not-awaitable", message, f"take the await from step.{verb}(…)")
    if isinstance(value, ast.Attribute) and calls.is_step(value.value):
        if value.attr == "usage":
            message = "step.usage is there at once"
            yield source.finding(node, "not-awaitable", message, "take the await from step.usage")
        elif value.attr in awaited_verbs():
            message = f"step.{value.attr} is not called"
            fix = f"write: await step.{value.attr}(…)"
            yield source.finding(node, "not-awaitable", message, fix)
    if isinstance(value, ast.List | ast.Tuple | ast.ListComp | ast.Dict):
        message = "a list of steps cannot be awaited"
        fix = "write: await step.parallel(*…)"
        yield source.finding(node, "not-awaitable", message, fix)
