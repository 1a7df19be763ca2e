"""Usage: how much of what a Run may have it has used, as its plan may ask."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """As of the moment at which `step.usage` is read; the same again on replay.

    `events` is what has happened to the Run: its beginning, jobs that ended, answers, signals,
    timers. `history_bytes` counts up to the last time that the plan waited. `is_high`: half of one
    of the three limits is used, or more.
    """

    events: int
    events_max: int
    steps: int
    steps_max: int
    history_bytes: int
    history_bytes_max: int
    is_high: bool
