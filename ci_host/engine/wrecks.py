"""Wrecks: Runs whose History has lost bytes. Each is ended with that reason, and stops nobody.

Their plan is not asked: what it knew cannot be rebuilt. What is still open is taken from the newest
Turn that can be read.
"""

from dataclasses import replace

import structlog
from msgspec.structs import replace as replaced

from ci_host.engine.live import Live
from ci_host.engine.turns import TurnMaker
from ci_host.ports import Damaged, HistoryStore, Remains, StoredInput, Unavailable
from pipelines.events import RunStarted
from pipelines.failure import Failure, FailureKind
from pipelines.history import Armed, HistoryView
from pipelines.ids import RunId
from pipelines.run import FINAL

log = structlog.get_logger()


class Wrecks:
    """Over the Histories. What it does may be repeated."""

    def __init__(self, history: HistoryStore, turns: TurnMaker) -> None:
        self._history = history
        self._turns = turns

    async def end(self, run: RunId, newest: int) -> None:
        """Fail the Run, and see to its last effects; `newest` is the newest input known of.

        Raises Conflict (somebody else was quicker) and Unavailable: then it is to be tried again.
        """
        try:
            await self._history.read(run)
        except Damaged as damaged:
            remains, why = damaged.remains, str(damaged)
        else:
            raise Unavailable(f"the history of {run} can be read again")
        assert remains is not None, "a whole History was read"
        log.error("history_damaged", run=run, reason=why)
        first = remains.stored.inputs[0].input if remains.stored.inputs else None
        if not isinstance(first, RunStarted):
            # Not even what began it is left: nothing can be said of it, to nobody.
            return
        live = wreck_of(run, first, remains)
        if live.view.state not in FINAL:
            turn = self._turns.failing(live, live.fresh, _damaged(why))
            await self._turns.commit(live, turn, live.fresh)
        elif remains.lost_turns and remains.lost_turns[-1].sequence == live.view.turn_sequence:
            # It is over, and whoever ended it saw to the rest; its last words are lost.
            return
        else:
            turn = remains.stored.turns[-1].turn
        await self._turns.settle_finished(live, turn, newest)


def wreck_of(run: RunId, first: RunStarted, remains: Remains) -> Live:
    """What is known of such a Run: as after its newest Turn, as far as that can be read."""
    turns, lost = remains.stored.turns, remains.lost_turns
    view = HistoryView.of(first)
    if turns:
        last = turns[-1].turn
        calls = {c.key: c.call for one in turns for c in one.turn.commands if c.call is not None}
        view = replace(
            view,
            turn_sequence=turns[-1].sequence,
            through=last.through,
            now=last.now,
            state=last.state,
            usage=last.usage or view.usage,
            # A call that a lost Turn asked for cannot be made again.
            open=replaced(last.open, calls=[call for call in last.open.calls if call.key in calls]),
            calls=calls,
        )
    if lost and lost[-1].sequence > view.turn_sequence:
        state = lost[-1].state or view.state
        view = replace(view, turn_sequence=lost[-1].sequence, state=state)
    view = replace(view, number=len(turns) + len(lost))
    return Live(run, first, view, Armed(is_sure=False), fresh=_unconsumed(remains))


def _unconsumed(remains: Remains) -> list[StoredInput]:
    consumed = {sequence for one in remains.stored.turns for sequence in one.turn.consumed}
    return [given for given in remains.stored.inputs if given.sequence not in consumed]


def _damaged(why: str) -> Failure:
    return Failure(
        type="HistoryDamaged",
        message=f"{why}. The run cannot go on without it; start it anew",
        kind=FailureKind.OURS,
    )
