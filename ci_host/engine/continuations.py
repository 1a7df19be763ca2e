"""Continuations: the Run that goes on where another ended with `step.continue_as_new`.

An effect like any other: made after the last Turn of the Run that ends, and made again by whoever
repairs. The successor's id is derived from the Run's, so making it twice makes one.
"""

import msgspec

from ci_host.ports import HistoryStore, StoredInput, Unavailable
from pipelines.continuation import Continues
from pipelines.events import CancelRequested, KillRequested, RunStarted, SignalSent
from pipelines.ids import RunId, successor_id
from pipelines.run import FINAL, RunState
from pipelines.turn import Turn

# A plan that continues as new without ever waiting would begin Runs for ever.
AT_ONCE_MAX = 10
# What is still meant when the Run that it was sent to has been continued meanwhile.
PASSED_ON = (CancelRequested, KillRequested, SignalSent)


class Continuations:
    """Over the Histories of Runs and their successors. Every act may be repeated."""

    def __init__(self, history: HistoryStore) -> None:
        self._history = history

    async def begin(self, started: RunStarted, last: Turn) -> None:
        """Begin the Run that goes on from this one, if its last Turn says so."""
        if last.end is None or last.end.continuation is None:
            return
        first = successor_of(started, last)
        await self._history.create(RunId(first.run), first)

    async def pass_on(self, started: RunStarted, last: Turn, newest: int) -> None:
        """Tell the successor what was told to this Run when it was over already.

        `newest` is the sequence of the newest input that is known of. Raises Unavailable.
        """
        inputs = await self._history.inputs_after(RunId(started.run), 0)
        if not inputs or inputs[-1].sequence < newest:
            raise Unavailable(f"the store's answer for {started.run} does not reach {newest} yet")
        taken = {_name(i) for i in inputs if i.sequence <= last.through}
        late = {_name(i): i.input for i in inputs if i.sequence > last.through and _is_passed(i)}
        if not (late := {name: one for name, one in late.items() if name not in taken}):
            return
        successor = successor_id(RunId(started.run))
        state = await self._history.state(successor)
        if state in FINAL and state is not RunState.CONTINUED:
            return
        there = {_name(i) for i in await self._history.inputs_after(successor, 0)}
        for name, value in late.items():
            if name not in there:
                await self._history.append_input(successor, value)


def successor_of(started: RunStarted, last: Turn) -> RunStarted:
    """How the Run begins that goes on from this one, which ended with this Turn."""
    assert last.end is not None and last.end.continuation is not None, "it continues"
    before, group = started.continues, last.open.group
    rerun = [started.rerun.by] if started.rerun is not None else []
    return msgspec.structs.replace(
        started,
        run=successor_id(RunId(started.run)),
        inputs=last.end.continuation.inputs,
        continues=Continues(
            of=started.run,
            first=before.first if before else started.run,
            number=(before.number if before else 0) + 1,
            at_once=_at_once_before(started) + 1 if last.number == 1 else 0,
            # It is handed over as it is held, and asked for by nobody anew.
            group=msgspec.structs.replace(group, leaving=False) if group is not None else None,
            signals=last.end.continuation.signals,
            causes=[*(before.causes if before else []), *rerun],
        ),
        rerun=None,
        recalled=[],
    )


def is_endless(started: RunStarted, number: int) -> bool:
    """Whether a Run that continues in its Turn `number` does so as one of too many in a row."""
    return number == 1 and _at_once_before(started) >= AT_ONCE_MAX


async def end_of_chain(history: HistoryStore, run: RunId) -> RunId:
    """The Run that goes on where this one and its successors ended; `run` if it has none."""
    while await history.state(run) is RunState.CONTINUED:
        run = successor_id(run)
    return run


def _at_once_before(started: RunStarted) -> int:
    return started.continues.at_once if started.continues is not None else 0


def _is_passed(given: StoredInput) -> bool:
    return isinstance(given.input, PASSED_ON)


def _name(given: StoredInput) -> tuple[str, str]:
    return type(given.input).__name__, getattr(given.input, "id", "")
