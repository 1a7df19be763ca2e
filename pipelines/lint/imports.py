"""Imports: modules that are neither in the sandbox nor among the pipeline's files."""

import ast
import difflib
from collections.abc import Iterator

from pipelines.guest.loading import module_name
from pipelines.guest.refusals import TESTING
from pipelines.lint.calls import Calls
from pipelines.lint.finding import Finding
from pipelines.lint.project import Project
from pipelines.lint.sandbox import is_skipped
from pipelines.lint.sandbox_modules import GONE, PARTS, STDLIB
from pipelines.lint.source import Source

OURS = frozenset({"staunch"})
_HANDLED = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
RULE = "missing-module"


def check(source: Source, _: Calls, project: Project) -> Iterator[Finding]:
    """Every import that would fail."""
    for node in source.nodes:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if is_skipped(source, node) or _is_handled(source, node):
            continue
        if isinstance(node, ast.Import):
            for one in node.names:
                if not _is_there(one.name, project):
                    yield _missing(source, one, one.name, project)
        else:
            yield from _from(source, node, project)


def _from(source: Source, node: ast.ImportFrom, project: Project) -> Iterator[Finding]:
    module = node.module or ""
    if node.level:
        package = _package(source.path, node.level)
        if package is None:
            message = "a relative import leads out of a pipeline's files"
            fix = f"write: from {module or 'module'} import …"
            yield source.finding(node, RULE, message, fix)
            return
        module = ".".join(part for part in (package, module) if part)
    if not _is_there(module, project):
        yield _missing(source, node, module, project)
    elif module in project.modules:
        yield from _names(source, node, module, project)


def _package(path: str, level: int) -> str | None:
    """The package that so many dots lead to from this file; None: there is none."""
    parts = module_name(path).split(".")
    if not path.endswith("/__init__.py"):
        parts.pop()
    left = len(parts) - (level - 1)
    return ".".join(parts[:left]) if left > 0 else None


def _names(
    source: Source, node: ast.ImportFrom, module: str, project: Project
) -> Iterator[Finding]:
    there = project.sources.get(module)
    if there is None or there.names.stars or "__getattr__" in there.names.module.bound:
        return
    known = there.names.module.bound
    for one in node.names:
        if one.name == "*" or one.name in known or f"{module}.{one.name}" in project.modules:
            continue
        if one.name.startswith("__") or _sets_names(there):
            continue
        near = difflib.get_close_matches(one.name, known, 1)
        fix = f"write {near[0]}" if near else f"define it in {there.path}"
        yield source.finding(one, "missing-name", f"{there.path} has no {one.name!r}", fix)


def _sets_names(source: Source) -> bool:
    """Whether its names may be made while it runs."""
    made = ("builtins.globals", "builtins.vars", "builtins.setattr", "builtins.exec")
    return any(isinstance(one, ast.Name) and source.names.dotted(one) in made
               for one in source.nodes)  # fmt: skip


def _is_there(name: str, project: Project) -> bool:
    top = name.partition(".")[0]
    if name == TESTING:
        return False
    if top in STDLIB:
        return name == top or name in PARTS
    return top in OURS or name in project.modules


def _missing(source: Source, node: ast.AST, name: str, project: Project) -> Finding:
    top = name.partition(".")[0]
    if name == TESTING:
        message = f"{name} is for tests, and is not in the sandbox"
        fix = "import it in a test, in a file outside of .staunch/"
    elif top in project.modules:
        message = f"there is no module {name!r} among the pipeline's files"
        near = difflib.get_close_matches(name, project.modules, 1)
        fix = f"write {near[0]}" if near else f"add .staunch/{name.replace('.', '/')}.py"
    elif top in GONE or top in STDLIB:
        message = f"the sandbox's Python has no module {name!r}"
        fix = "do without it, or do this in a step.job"
    else:
        message = f"there is no module {top!r} in the sandbox: it has the standard library alone"
        near = difflib.get_close_matches(top, [*project.modules, *STDLIB, *OURS], 1, 0.8)
        hint = f"did you mean {near[0]}? " if near else ""
        fix = f"{hint}use it in a step.job, or add .staunch/{top}.py"
    return source.finding(node, RULE, message, fix)


def _is_handled(source: Source, node: ast.AST) -> bool:
    inner = node
    for outer in source.names.above(node):
        if isinstance(outer, ast.Try) and inner in outer.body:
            for handler in outer.handlers:
                named = [] if handler.type is None else ast.walk(handler.type)
                names = {one.id for one in named if isinstance(one, ast.Name)}
                if handler.type is None or names & _HANDLED:
                    return True
        inner = outer
    return False
