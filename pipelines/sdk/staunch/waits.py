"""`step.sleep`, `step.sleep_until`, `step.wait_for_event`."""

import asyncio
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from staunch.durations import SECONDS_MAX, Duration, seconds
from staunch.errors import StepTimedOut
from staunch.ledger import Ledger
from staunch.results import Received

NAMES_MAX = 100


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
    if ledger.recalled("sleep", key, options) is not None:
        return
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


@dataclass(frozen=True, slots=True)
class Wish:
    """Which signals a wait takes. `is_any`: one of several, and the plan wants to know which."""

    names: list[str]
    match: dict[str, Any] | None = None
    timeout: float | None = None
    is_any: bool = False

    def options(self) -> dict[str, Any]:
        """What the wait's fingerprint is made of."""
        options: dict[str, Any] = {"signal": self.names[0], "timeout": self.timeout}
        if self.is_any:
            options["signals"] = self.names
        if self.match is not None:
            options["match"] = self.match
        return options


def wish(name: str, event: object, match: object, timeout: float | None) -> Wish:
    """The options of `wait_for_event` in one form. Raises TypeError or ValueError."""
    is_any = isinstance(event, list | tuple)
    asked = list(event) if isinstance(event, list | tuple) else [name if event is None else event]
    names = [one for one in asked if isinstance(one, str) and one]
    if not asked or names != asked:
        raise TypeError(f"event must be the signal's name, or a list of names, not {event!r}")
    if not 1 <= len(set(names)) == len(names) <= NAMES_MAX:
        raise ValueError(f"event must have 1 to {NAMES_MAX} names that differ, not {event!r}")
    if match is not None and (
        not isinstance(match, dict) or not match or not all(isinstance(one, str) for one in match)
    ):
        raise TypeError(
            f"match must be a dict of the payload's fields, like {{'env': 'eu'}}, not {match!r}"
        )
    return Wish(names, match, timeout, is_any)


async def signal(ledger: Ledger, key: str, wish: Wish) -> Any:
    """Wait for the oldest signal that fits and that nobody has taken."""
    if (kept := ledger.recalled("wait", key, wish.options())) is not None:
        return Received(**kept["value"]) if wish.is_any else kept.get("value")
    timeout = wish.timeout
    due = None if timeout is None else ledger.loop.time() + timeout
    several = {"signals": wish.names} if wish.is_any else {}
    ledger.ask("wait", key, wish.options(), signal=wish.names[0], due=due, **several)
    waiting = ledger.open_wait(key, wish.names, wish.match, due)
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
    name, payload = taken["name"], taken["payload"]
    value = {"event": name, "payload": payload} if wish.is_any else payload
    ledger.settle("wait", key, "succeeded", value=value)
    return Received(name, payload) if wish.is_any else payload
