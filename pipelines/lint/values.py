"""Values: what an expression surely is, without executing anything of the file.

Plain literals, lists and dicts of them, names that are assigned once at the top of the file, and
what the SDK makes of such values (`Retry(3)`, `shell("make")`). Everything else is UNKNOWN, and so
is whatever holds it.
"""

import ast
import builtins
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipelines.lint.source import Source

_TYPES = {f"builtins.{name}": one for name, one in vars(builtins).items() if isinstance(one, type)}
DEPTH_MAX = 50
ITEMS_MAX = 2_000


class Unknown:
    """The one value that nobody knows."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()
Make = Callable[[ast.Call], Any]


class Values:
    """Of one file. `make` gives what a call of the SDK makes, or UNKNOWN."""

    def __init__(self, source: Source, make: Make) -> None:
        self._source = source
        self._make = make

    def of(self, node: ast.expr, depth: int = 0) -> Any:
        """The value, or UNKNOWN."""
        if depth > DEPTH_MAX:
            return UNKNOWN
        match node:
            case ast.Constant(value=value):
                return UNKNOWN if value is ... else value
            case ast.List(elts=elts) | ast.Tuple(elts=elts):
                return self._items(node, elts, depth)
            case ast.Dict():
                return self._dict(node, depth)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = self.of(operand, depth + 1)
                return -value if type(value) in (int, float) else UNKNOWN
            case ast.Name() | ast.Attribute():
                return self._named(node, depth)
            case ast.Lambda():
                return Function("a lambda")
            case ast.Call():
                return self._make(node)
        return UNKNOWN

    def _items(self, node: ast.expr, elts: list[ast.expr], depth: int) -> Any:
        if len(elts) > ITEMS_MAX:
            return UNKNOWN
        found = [self.of(one, depth + 1) for one in elts]
        if any(one is UNKNOWN for one in found):
            return UNKNOWN
        return found if isinstance(node, ast.List) else tuple(found)

    def _dict(self, node: ast.Dict, depth: int) -> Any:
        found = {}
        for key, one in zip(node.keys, node.values, strict=True):
            name = UNKNOWN if key is None else self.of(key, depth + 1)
            value = self.of(one, depth + 1)
            if name is UNKNOWN or value is UNKNOWN or not _is_key(name):
                return UNKNOWN
            found[name] = value
        return found

    def _named(self, node: ast.Name | ast.Attribute, depth: int) -> Any:
        dotted = self._source.names.dotted(node)
        if dotted in _TYPES:
            return _TYPES[dotted]
        if not isinstance(node, ast.Name):
            return UNKNOWN
        binding = self._source.names.only(node)
        if binding is None:
            return UNKNOWN
        if binding.kind == "def":
            if getattr(binding.node, "decorator_list", None):
                return UNKNOWN
            is_async = isinstance(binding.node, ast.AsyncFunctionDef)
            return AsyncFunction(node.id) if is_async else Function(node.id)
        is_of_module = binding in self._source.names.module.bound.get(node.id, ())
        if binding.value is None or not is_of_module:
            return UNKNOWN
        if isinstance(binding.value, ast.Constant | ast.UnaryOp):
            return self.of(binding.value, depth + 1)
        # A list may have been added to since.
        return UNKNOWN


def _is_key(name: object) -> bool:
    return isinstance(name, str | int | float | bool | None | tuple)


@dataclass(frozen=True, slots=True)
class Function:
    """Stands for a function of the file, which nobody calls."""

    name: str

    def __call__(self, *_: Any) -> Any:
        """What any function can."""

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, repr=False)
class AsyncFunction(Function):
    """The same for an async one."""

    async def __call__(self, *_: Any) -> Any:
        """What any async function can."""
