"""Names: what a name of a file stands for, as far as its text tells.

A name that is bound more than once, or by anything but an import, a definition or a parameter, may
be anything. `dotted` is what an import leads to: `from datetime import datetime as d` makes
`d.now` `datetime.datetime.now`.
"""

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["import", "def", "parameter", "value"]
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_INNER = (ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True)
class Binding:
    """One place that gives a name a meaning; `value` where it is a plain assignment."""

    kind: Kind
    node: ast.AST
    dotted: str = ""
    value: ast.expr | None = None


@dataclass(slots=True)
class Scope:
    """What is bound in a module, class, function or comprehension."""

    node: ast.AST
    parent: "Scope | None" = None
    bound: dict[str, list[Binding]] = field(default_factory=dict)

    def bindings(self, name: str) -> list[Binding]:
        """Those of the nearest scope that has any."""
        scope: Scope | None = self
        while scope is not None:
            is_seen = scope is self or not isinstance(scope.node, ast.ClassDef)
            if is_seen and name in scope.bound:
                return scope.bound[name]
            scope = scope.parent
        return []

    def bind(self, name: str, binding: Binding) -> None:
        """One more meaning of this name here."""
        self.bound.setdefault(name, []).append(binding)


class Names:
    """The scopes of one parsed file. `stars` are the modules of its star imports."""

    def __init__(self, tree: ast.Module) -> None:
        self.module = Scope(tree)
        self.stars: list[str] = []
        self._scopes: dict[ast.AST, Scope] = {}
        self._parents: dict[ast.AST, ast.AST] = {}
        self._visit(tree, self.module)

    def parent(self, node: ast.AST) -> ast.AST | None:
        """The node that it is a part of."""
        return self._parents.get(node)

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """Everything that it is a part of, from the inside."""
        one = self._parents.get(node)
        while one is not None:
            yield one
            one = self._parents.get(one)

    def function_of(self, node: ast.AST) -> Function | None:
        """The innermost function whose body it is in; None: it is executed at import."""
        inner = node
        for one in self.above(node):
            if isinstance(one, ast.Lambda) and inner is one.body:
                return one
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and inner in one.body:
                return one
            inner = one
        return None

    def only(self, node: ast.Name) -> Binding | None:
        """What a name surely means, or None."""
        found = self._scopes[node].bindings(node.id)
        return found[0] if len(found) == 1 else None

    def bindings(self, node: ast.Name) -> list[Binding]:
        """Everything that a name may mean."""
        return self._scopes[node].bindings(node.id)

    def dotted(self, node: ast.AST) -> str:
        """Where it leads: `time.sleep`, `builtins.open`; "" where nobody can tell."""
        if isinstance(node, ast.Attribute):
            above = self.dotted(node.value)
            return f"{above}.{node.attr}" if above else ""
        if not isinstance(node, ast.Name):
            return ""
        found = self._scopes[node].bindings(node.id)
        if found:
            names = {one.dotted for one in found}
            return names.pop() if len(names) == 1 else ""
        if self.stars:
            return f"staunch.{node.id}" if self.stars == ["staunch"] else ""
        return f"builtins.{node.id}" if hasattr(builtins, node.id) else ""

    # How the scopes are found.

    def _visit(self, node: ast.AST, scope: Scope) -> None:
        self._scopes[node] = scope
        self._bind(node, scope)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            self._visit_function(node, scope)
            return
        inner = Scope(node, scope) if isinstance(node, _INNER) else scope
        for child in ast.iter_child_nodes(node):
            self._parents[child] = node
            self._visit(child, inner)

    def _visit_function(self, node: Function, scope: Scope) -> None:
        inner = Scope(node, scope)
        for one in arguments_of(node):
            inner.bind(one.arg, Binding("parameter", one))
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        for child in ast.iter_child_nodes(node):
            self._parents[child] = node
            self._visit(child, inner if child in body else scope)

    def _bind(self, node: ast.AST, scope: Scope) -> None:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                scope.bind(name, Binding("def", node))
            case ast.ClassDef(name=name):
                scope.bind(name, Binding("value", node))
            case ast.Import() | ast.ImportFrom():
                self._bind_import(node, scope)
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                scope.bind(name, Binding("value", node, value=self._assigned(node)))
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                scope.bind(name, Binding("value", node))
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                scope.bind(name, Binding("value", node))
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                for name in names:
                    scope.bind(name, Binding("value", node))
                    self.module.bind(name, Binding("value", node))

    def _assigned(self, node: ast.AST) -> ast.expr | None:
        """What stands behind the = of a plain assignment to this name."""
        parent = self._parents[node]
        if isinstance(parent, ast.Assign) and len(parent.targets) == 1:
            return parent.value
        if isinstance(parent, ast.AnnAssign | ast.NamedExpr) and parent.target is node:
            return parent.value
        return None

    def _bind_import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        if isinstance(node, ast.Import):
            for one in node.names:
                top = one.name.partition(".")[0]
                dotted = one.name if one.asname else top
                scope.bind(one.asname or top, Binding("import", node, dotted))
            return
        module = "." * node.level + (node.module or "")
        for one in node.names:
            if one.name == "*":
                self.stars.append(module)
            else:
                scope.bind(one.asname or one.name, Binding("import", node, f"{module}.{one.name}"))


def arguments_of(node: Function) -> list[ast.arg]:
    """Every parameter of a function."""
    of = node.args
    found = [*of.posonlyargs, *of.args, *of.kwonlyargs]
    return found + [one for one in (of.vararg, of.kwarg) if one is not None]
