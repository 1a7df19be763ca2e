"""What awaiting a step gives back."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from staunch.artifacts import Artifact


@dataclass(frozen=True, slots=True)
class JobResult:
    """A job that succeeded. `seconds` is how long its last attempt worked, on `runner`.

    `outputs`: what its steps wrote to `$STAUNCH_OUTPUT`, by name, as plain data. `artifacts`: the
    files that were kept, by name, for `files=` of another job.
    """

    name: str
    exit_code: int
    attempt: int = 1
    seconds: float = 0.0
    runner: str = ""
    outputs: dict[str, Any] = field(default_factory=dict, hash=False)
    artifacts: dict[str, Artifact] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """An open gate: who approved it, in that order, and what the last of them entered.

    `by` is empty where it was opened by its timeout.
    """

    by: list[str]
    inputs: dict[str, Any] = field(default_factory=dict)
    comment: str = ""


class Received(NamedTuple):
    """A signal, where one of several was waited for: which it was, and what it said."""

    event: str
    payload: Any


class First(NamedTuple):
    """The step that ended first: its name, or its index where no names were given."""

    which: int | str
    value: Any
