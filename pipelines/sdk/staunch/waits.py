"""`step.sleep`, `step.sleep_until`, `step.wait_for_event`."""

import asyncio
import math
from datetime import datetime
from typing import Any

from staunch.durations import SECONDS_MAX, Duration, seconds
from staunch.errors import StepTimedOut
from staunch.ledger import Ledger


def span(duration: Duration) -> float:
    """A sleep's length in seconds."""
    return seconds(duration, "a sleep's duration")


def moment(when: object) -> float:
    """A moment as seconds since the epoch. Raises TypeError or ValueError."""
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise ValueError(
                f"sleep_until needs a time zone: {when.isoformat()} could be any; write"
                " datetime(…, tzinfo=UTC)"
            )
        return when.timestamp()
    if isinstance(when, bool) or not isinstance(when, int | float):
        raise TypeError(f"sleep_until needs a datetime or seconds since the epoch, not {when!r}")
    if not math.isfinite(when) or not 0 <= when <= 2 * SECONDS_MAX:
        raise ValueError(f"sleep_until({when!r}) is no moment that can come")
    return float(when)


async def sleep(ledger: Ledger, key: str, options: dict[str, float]) -> None:
    """Wait until it is due."""
    now = ledger.loop.time()
    due = options["until"] if "until" in options else now + options["seconds"]
    ledger.ask("sleep", key, options, due=due)
    try:
        await asyncio.sleep(max(0.0, due - now)) if due <= now else await _until(ledger, due)
    except asyncio.CancelledError:
        ledger.settle("sleep", key, "cancelled")
        raise
    ledger.settle("sleep", key, "succeeded")


async def _until(ledger: Ledger, due: float) -> None:
    # Not asyncio.sleep: now + (due - now) need not be due.
    woken: asyncio.Future[None] = ledger.loop.create_future()
    timer = ledger.loop.call_at(due, _wake, woken)
    try:
        await woken
    finally:
        timer.cancel()


def _wake(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)


async def signal(ledger: Ledger, key: str, name: str, timeout: float | None) -> Any:
    """Wait for the oldest signal of this name that nobody has taken."""
    due = None if timeout is None else ledger.loop.time() + timeout
    ledger.ask("wait", key, {"signal": name, "timeout": timeout}, signal=name, due=due)
    waiting = ledger.open_wait(key, name, due)
    taken: dict[str, Any] | None = None
    try:
        async with asyncio.timeout_at(due) as limit:
            taken = await waiting
    except TimeoutError:
        assert limit.expired(), "a signal is never a TimeoutError"
        error = StepTimedOut(key, timeout or 0.0)
        ledger.settle("wait", key, "timed_out", error=ledger.failure(error, key))
        raise error from None
    except asyncio.CancelledError:
        ledger.settle("wait", key, "cancelled")
        raise
    finally:
        ledger.close_wait(key, waiting if taken is None else None)
    ledger.settle("wait", key, "succeeded", value=taken["payload"])
    return taken["payload"]
