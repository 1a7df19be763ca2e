"""Rollbacks: what undoes the steps that had succeeded, once the Run has failed or was cancelled.

Theory: a Step that succeeds leaves its `rollback` on a stack in the books. When the plan is over
and did not succeed, the driver starts `roll_back`, which takes them off again, last first. It runs
on the plan's loop with the plan's verbs, so a crash in the middle is replayed like any other.

Before the first, the Jobs and child Runs that were cancelled are waited for: nothing is undone
while it is still being done.
"""

import asyncio
from collections.abc import Callable

from staunch.ledger import Ledger
from staunch.undo import Undo

# A Runner that vanished is noticed within a minute; a Job that nobody took may never report.
PATIENCE_S = 120.0


async def roll_back(ledger: Ledger, step_at: Callable[[str], object]) -> None:
    """Call every rollback that is owed, with a Step that `step_at` makes for its path.

    A cancel ends the one that runs and skips the others.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            await ledger.wait_cancelled_gone()
    except TimeoutError:
        pass
    except asyncio.CancelledError:
        _skip_rest(ledger)
        raise
    while (undo := ledger.next_undo()) is not None:
        key = ledger.key(f"{undo.key}/rollback")
        ledger.ask("rollback", key, {})
        await _call(ledger, key, undo, step_at(f"{key}/"))
        if _is_cancelled():
            _skip_rest(ledger)


async def _call(ledger: Ledger, key: str, undo: Undo, step: object) -> None:
    try:
        await undo.fn(step, undo.result)
    except GeneratorExit:
        raise  # the whole Tenant is let go of
    except asyncio.CancelledError as error:
        if _is_cancelled():
            ledger.settle("rollback", key, "cancelled")
        else:
            ledger.settle("rollback", key, "failed", error=ledger.failure(error, key))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the others are still owed
        ledger.settle("rollback", key, "failed", error=ledger.failure(error, key))
    else:
        ledger.settle("rollback", key, "succeeded")


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _skip_rest(ledger: Ledger) -> None:
    # Recorded all the same: whoever cancelled must see what was not undone.
    while (undo := ledger.next_undo()) is not None:
        key = ledger.key(f"{undo.key}/rollback")
        ledger.ask("rollback", key, {})
        ledger.settle("rollback", key, "cancelled")
