"""Calls: which calls and attributes of a file are the SDK's.

A Step is the second parameter of `run`, a parameter called `step` or annotated as one, and what
`step.scope(…)` gives. `on` and the rest are known by where they were imported from.
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import staunch
from staunch.step import VERBS
from staunch.triggers import On

from pipelines.lint.names import Binding
from pipelines.lint.sdk import Books, made, signature, step_of
from pipelines.lint.source import Source
from pipelines.lint.values import UNKNOWN, Values

_VERBS = frozenset(VERBS)


@dataclass(frozen=True, slots=True)
class Target:
    """What is called, and how it is written."""

    call: Callable[..., Any]
    shown: str


@dataclass(slots=True)
class Given:
    """The arguments of a call. `is_open`: there are more than the text tells (`*a`, `**b`)."""

    named: dict[str, ast.expr] = field(default_factory=dict)
    rest: list[ast.expr] = field(default_factory=list)
    extra: list[ast.expr] = field(default_factory=list)
    twice: list[ast.expr] = field(default_factory=list)
    unknown: list[ast.keyword] = field(default_factory=list)
    is_open: bool = False


class Calls:
    """Those of one file. `books` are of the pipeline that the file is, or is a part of."""

    def __init__(self, source: Source, books: Books) -> None:
        self.source = source
        self.values = Values(source, self._made)
        self.books = books
        self._asked: set[ast.AST] = set()
        self.step = step_of(books)
        self._run_parameters = _run_parameters(source.tree)

    def is_step(self, node: ast.AST | None) -> bool:
        """Whether it is surely a Step."""
        if isinstance(node, ast.Call):
            of = node.func
            return isinstance(of, ast.Attribute) and of.attr == "scope" and self.is_step(of.value)
        if not isinstance(node, ast.Name):
            return False
        found = self.source.names.bindings(node)
        return bool(found) and all(self._binds_step(one) for one in found)

    def is_event(self, node: ast.AST) -> bool:
        """Whether it is surely the Event that `run` is given."""
        binding = self.source.names.only(node) if isinstance(node, ast.Name) else None
        return binding is not None and binding.node in self._run_parameters[:1]

    def verb(self, node: ast.AST | None) -> str:
        """The verb that is called here, or ""."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return ""
        verb = node.func.attr
        return verb if verb in _VERBS and self.is_step(node.func.value) else ""

    def trigger(self, node: ast.AST) -> str:
        """What of `on` is named here, or ""."""
        dotted = self.source.names.dotted(node)
        return dotted.removeprefix("staunch.on.") if dotted.startswith("staunch.on.") else ""

    def target(self, node: ast.Call) -> Target | None:
        """What of the SDK is called, or None."""
        if verb := self.verb(node):
            return Target(getattr(self.step, verb), f"step.{verb}")
        dotted = self.source.names.dotted(node.func)
        if not dotted.startswith("staunch."):
            return None
        name = dotted.removeprefix("staunch.")
        if name.startswith("on."):
            trigger = name.removeprefix("on.")
            found = vars(On).get(trigger) and getattr(staunch.on, trigger, None)
        else:
            found = getattr(staunch, name, None) if name in staunch.__all__ else None
        # An error without a constructor of its own takes anything.
        is_plain = isinstance(found, type) and "__init__" not in vars(found)
        return Target(found, name) if callable(found) and not is_plain else None

    def given(self, node: ast.Call, target: Target) -> Given:
        """The arguments by the parameters that they are for."""
        parameters = signature(target.call).parameters
        given = Given()
        _take_positional(given, node, parameters)
        takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
        for one in node.keywords:
            parameter = parameters.get(one.arg or "")
            if one.arg is None:
                given.is_open = True
            elif parameter is not None and parameter.kind is not parameter.VAR_POSITIONAL:
                if one.arg in given.named:
                    given.twice.append(one.value)
                else:
                    given.named[one.arg] = one.value
            elif takes_any:
                given.named[one.arg] = one.value
            else:
                given.unknown.append(one)
        return given

    def evaluated(self, given: Given) -> tuple[dict[str, Any], list[Any]]:
        """Their values, UNKNOWN where they are."""
        named = {name: self.values.of(node) for name, node in given.named.items()}
        return named, [self.values.of(node) for node in given.rest]

    def _binds_step(self, binding: Binding) -> bool:
        if binding.kind == "value":
            # `step = step.scope("eu")`: it is one if all that it is besides are.
            if binding.node in self._asked:
                return True
            self._asked.add(binding.node)
            try:
                return isinstance(binding.value, ast.Call) and self.is_step(binding.value)
            finally:
                self._asked.discard(binding.node)
        node = binding.node
        if binding.kind != "parameter" or not isinstance(node, ast.arg):
            return False
        if node.annotation is not None:
            return self.source.names.dotted(node.annotation) == "staunch.Step"
        return node.arg == "step" or node in self._run_parameters[1:2]

    def _made(self, node: ast.Call) -> Any:
        target = self.target(node)
        if target is None or self.verb(node) or target.shown.startswith("on."):
            return UNKNOWN
        given = self.given(node, target)
        if (
            given.is_open
            or given.extra
            or given.twice
            or given.unknown
            or target.shown == "run_timeout"
        ):
            return UNKNOWN
        named, rest = self.evaluated(given)
        missing = missing_of(target, given)
        return UNKNOWN if missing else made(target.call, named, rest)


def missing_of(target: Target, given: Given) -> list[str]:
    """The parameters that must be given and are not."""
    if given.is_open:
        return []
    return [
        name
        for name, one in signature(target.call).parameters.items()
        if one.default is one.empty
        and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        and name not in given.named
    ]


def _take_positional(
    given: Given, node: ast.Call, parameters: Mapping[str, inspect.Parameter]
) -> None:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    places = [name for name, one in parameters.items() if one.kind in kinds]
    takes_more = any(one.kind is one.VAR_POSITIONAL for one in parameters.values())
    for index, one in enumerate(node.args):
        if isinstance(one, ast.Starred):
            given.is_open = True
            return
        if index < len(places):
            given.named[places[index]] = one
        elif takes_more:
            given.rest.append(one)
        else:
            given.extra.append(one)


def _run_parameters(tree: ast.Module) -> list[ast.arg]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "run":
            return [*node.args.posonlyargs, *node.args.args]
    return []
