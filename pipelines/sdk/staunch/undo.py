"""Undo: one call that is owed if the Run does not succeed."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

# As the verbs' modules see it: they know no Step. Authors are shown the type in `step`.
Rollback = Callable[[Any, Any], Coroutine[Any, Any, object]]


@dataclass(frozen=True, slots=True)
class Undo:
    """`fn(step, result)` undoes the Step at `key`."""

    key: str
    fn: Rollback
    result: Any
