"""Pause: what a paused Run takes of what has happened to it, and what it leaves waiting.

Nothing is lost by a pause: what is not taken stays in the History, in its place, and the Turn that
ends the pause takes it all in stream order. Pure.
"""

from collections.abc import Sequence

from pipelines.events import (
    CancelRequested,
    Input,
    KillRequested,
    PauseRequested,
    ResumeRequested,
)
from pipelines.run import RunState

# What ends a pause; to cancel a Run is to let its cleanup code go on.
RESUMING = (ResumeRequested, CancelRequested)


def taken(state: RunState, inputs: Sequence[Input]) -> int:
    """How many of these inputs, oldest first, the next Turn consumes; 0: there is none to make.

    A Turn ends with the first pause in it: what came after that is for later.
    """
    if any(isinstance(given, KillRequested) for given in inputs):
        return len(inputs)
    begin = 0
    if state is RunState.PAUSED:
        ends = (at for at, given in enumerate(inputs) if isinstance(given, RESUMING))
        begin = next(ends, len(inputs))
        if begin == len(inputs):
            return 0
    for at in range(begin, len(inputs)):
        if isinstance(inputs[at], PauseRequested):
            return at + 1
    return len(inputs)


def holder_after(holder: str | None, inputs: Sequence[Input]) -> str | None:
    """Who holds the Run once these inputs are consumed, if `holder` (None: nobody) does now."""
    for given in inputs:
        match given:
            case PauseRequested():
                holder = holder or given.by
            case ResumeRequested() | CancelRequested() | KillRequested():
                holder = None
            case _:
                pass
    return holder
