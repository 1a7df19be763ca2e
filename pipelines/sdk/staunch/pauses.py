"""Pauses: the wait between two attempts of a step, which a person may end early."""

import asyncio

from staunch.ledger import Ledger


async def pause(ledger: Ledger, key: str, attempt: int, seconds: float) -> None:
    """Wait before `attempt` begins: so long, or until somebody wants it now."""
    due = ledger.loop.time() + seconds
    over = ledger.open_pause(key, attempt, due)
    timer = ledger.loop.call_at(due, _end, over)
    try:
        await over
    finally:
        timer.cancel()
        ledger.close_pause(key)


def _end(over: "asyncio.Future[None]") -> None:
    if not over.done():
        over.set_result(None)
