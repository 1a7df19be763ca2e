"""Script: what the world will do in a story, written down before it begins."""

from dataclasses import dataclass, field
from typing import Any

from pipelines.job import Outcome


@dataclass(frozen=True, slots=True)
class GateScript:
    """What people do at a gate: approve, reject, or nothing."""

    approved: bool | None
    value: int = 0


@dataclass(slots=True)
class Script:
    """What the world will do, by the leaf's name. Jobs: outcomes by attempt."""

    jobs: dict[str, list[Outcome]] = field(default_factory=dict)
    # What the jobs that succeed give back.
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    gates: dict[str, GateScript] = field(default_factory=dict)
    signals: dict[str, Any] = field(default_factory=dict)
    # Of the same names, and not what the wait is for.
    noise: dict[str, Any] = field(default_factory=dict)
