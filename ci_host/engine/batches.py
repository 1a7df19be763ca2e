"""Batches: how much of what has happened to a Run goes into its next Turn. Pure.

Whatever came while no engine was there comes at once. What one Turn takes of it is bounded, so that
it fits into the sandbox's memory and time; the rest goes into the next Turns, in its order.
"""

from collections.abc import Sequence

from pipelines.codec import encode_input
from pipelines.events import Input, KillRequested
from pipelines.history import HistoryView
from pipelines.near_limits import room_for_events
from pipelines.pause import taken
from pipelines.run import RunState

EVENTS_TURN_MAX = 1_000
# But for one that is larger alone: it is taken by itself.
EVENTS_TURN_BYTES_MAX = 4 * 1024 * 1024


def batch(view: HistoryView, inputs: Sequence[Input]) -> int:
    """How many of these inputs, oldest first, the next Turn consumes; 0: there is none to make.

    Where not all have room in the Run, those that have; it is ended by the one that is too many.
    What ends a pause brings all that waited before it, and a kill ends everything.
    """
    count = taken(view.state, inputs)
    room = room_for_events(view.usage)
    if view.state is RunState.PAUSED or not room or _is_killed(inputs):
        return count
    return _fitting(inputs[: min(count, room, EVENTS_TURN_MAX)])


def _is_killed(inputs: Sequence[Input]) -> bool:
    return any(isinstance(given, KillRequested) for given in inputs)


def _fitting(inputs: Sequence[Input]) -> int:
    if len(inputs) < 2:
        return len(inputs)
    size = 0
    for at, given in enumerate(inputs):
        size += len(encode_input(given))
        if size > EVENTS_TURN_BYTES_MAX:
            return max(1, at)
    return len(inputs)
