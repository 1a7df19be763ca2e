"""Run: one durable execution of a pipeline, and the only legal ways its state may change."""

from enum import StrEnum


class RunState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    # Over, and another Run goes on where it ended.
    CONTINUED = "continued"


class Move(StrEnum):
    STARTED = "run_started"
    PAUSED = "run_paused"
    RESUMED = "run_resumed"
    SUCCEEDED = "run_succeeded"
    FAILED = "run_failed"
    CANCELLED = "run_cancelled"
    CONTINUED = "run_continued"


TRANSITIONS: dict[RunState, dict[Move, RunState]] = {
    # A bundle that cannot be loaded fails before it ever started.
    RunState.PENDING: {
        Move.STARTED: RunState.RUNNING,
        Move.FAILED: RunState.FAILED,
        Move.CANCELLED: RunState.CANCELLED,
    },
    RunState.RUNNING: {
        Move.PAUSED: RunState.PAUSED,
        Move.SUCCEEDED: RunState.SUCCEEDED,
        Move.FAILED: RunState.FAILED,
        Move.CANCELLED: RunState.CANCELLED,
        Move.CONTINUED: RunState.CONTINUED,
    },
    # Its plan does not move, so it cannot succeed; the host can still end it.
    RunState.PAUSED: {
        Move.RESUMED: RunState.RUNNING,
        Move.FAILED: RunState.FAILED,
        Move.CANCELLED: RunState.CANCELLED,
    },
    RunState.SUCCEEDED: {},
    RunState.FAILED: {},
    RunState.CANCELLED: {},
    RunState.CONTINUED: {},
}

FINAL = frozenset(state for state, moves in TRANSITIONS.items() if not moves)


class IllegalMove(Exception):
    """The History holds a move that this state cannot take: a bug, or a forged message."""

    def __init__(self, state: RunState, move: Move) -> None:
        allowed = ", ".join(TRANSITIONS[state]) or "nothing: the run is over"
        super().__init__(f"a {state} run cannot take {move}; it takes {allowed}")


def after(state: RunState, move: Move) -> RunState:
    """The state that follows. Raises IllegalMove."""
    try:
        return TRANSITIONS[state][move]
    except KeyError:
        raise IllegalMove(state, move) from None
