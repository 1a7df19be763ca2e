"""`step.do`: code of the plan whose result is kept.

A plain function is not called again on replay: its recorded value is taken. One that raised is, for
the plan may catch its exception and only the real one will do; so is an `async` one, because its
waits are a part of the order in which everything happens. Both give the same again.
"""

import asyncio
import inspect
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

from staunch.attempt import CURRENT, Attempt
from staunch.errors import NonRetryable, RetryAfter, StepTimedOut
from staunch.ledger import Ledger
from staunch.pauses import pause as wait_pause
from staunch.retry import Retry
from staunch.undo import Rollback, Undo


@dataclass(frozen=True, slots=True)
class Call:
    """What to call and how often."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    retry: Retry
    timeout: float | None
    rollback: Rollback | None = None
    sensitive: bool = False


async def run(ledger: Ledger, key: str, call: Call) -> Any:
    """Attempt it until it succeeds or may not be tried again."""
    options = {"retries": call.retry.limit, "timeout": call.timeout}
    if (kept := ledger.recalled("do", key, options)) is not None:
        return _owed(ledger, key, call, kept.get("value"))
    ledger.ask("do", key, options)
    fn = ledger.stand_in(key, call.fn)
    call = call if fn is call.fn else replace(call, fn=fn)
    is_async = is_async_function(call.fn)
    number = 1
    while True:
        if not is_async and (memo := ledger.recall(key, number)) is not None:
            return _settled(ledger, key, number, call, memo.get("value"))
        try:
            value = await _attempt(ledger, key, number, call, is_async)
        except asyncio.CancelledError:
            ledger.settle("do", key, "cancelled", attempt=number)
            raise
        except Exception as error:
            pause = _failed(ledger, key, number, call, error)
            if pause is None:
                raise
        else:
            return _settled(ledger, key, number, call, value)
        try:
            await wait_pause(ledger, key, number + 1, pause)
        except asyncio.CancelledError:
            ledger.settle("do", key, "cancelled", attempt=number)
            raise
        number += 1


def _failed(ledger: Ledger, key: str, number: int, call: Call, error: Exception) -> float | None:
    """Record the failed attempt; the pause before the next, or None: there is none."""
    state = "timed_out" if isinstance(error, StepTimedOut) else "failed"
    pause = None
    if not isinstance(error, NonRetryable) and call.retry.wants(state, number):
        try:
            pause = _pause(ledger, key, number, call, error)
        except Exception as wrong:
            failure = ledger.failure(wrong, key)
            ledger.settle("do", key, "failed", attempt=number, error=failure)
            raise wrong from error
    failure = ledger.failure(error, key)
    shown = state if pause is None else "retrying"
    ledger.settle("do", key, shown, attempt=number, error=failure)
    return pause


def _pause(ledger: Ledger, key: str, number: int, call: Call, error: Exception) -> float:
    if isinstance(error, RetryAfter):
        return error.seconds
    return call.retry.pause(number, ledger.dice(f"{key}/{number}/pause"))


def _settled(ledger: Ledger, key: str, number: int, call: Call, value: Any) -> Any:
    marks = {"sensitive": True} if call.sensitive else {}
    ledger.settle("do", key, "succeeded", attempt=number, value=value, **marks)
    return _owed(ledger, key, call, value)


def _owed(ledger: Ledger, key: str, call: Call, value: Any) -> Any:
    if call.rollback is not None:
        ledger.owe(Undo(key, call.rollback, value))
    return value


async def _attempt(ledger: Ledger, key: str, number: int, call: Call, is_async: bool) -> Any:
    attempt = Attempt(ledger.seed, key, number)
    if is_async:
        return ledger.plain(key, await _in_task(ledger, attempt, call))
    token = CURRENT.set(attempt)
    try:
        value = call.fn(*call.args)
    finally:
        CURRENT.reset(token)
    if hasattr(type(value), "__await__"):
        if inspect.iscoroutine(value):
            value.close()
        raise NonRetryable(
            f"the function of step.do({key!r}) returned an awaitable; pass the async function"
            " itself: step.do(name, fn, *args), not a lambda around it"
        )
    return ledger.plain(key, value)


async def _in_task(ledger: Ledger, attempt: Attempt, call: Call) -> Any:
    context = copy_context()
    context.run(CURRENT.set, attempt)
    body = ledger.loop.create_task(call.fn(*call.args), context=context)
    try:
        async with asyncio.timeout(call.timeout) as limit:
            value = await body
    except TimeoutError:
        if not limit.expired():
            raise
        raise StepTimedOut(attempt.key, call.timeout or 0.0) from None
    # A body that catches its cancellation and returns has not been in time either.
    if limit.expired():
        raise StepTimedOut(attempt.key, call.timeout or 0.0)
    return value


def is_async_function(fn: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine."""
    if type(fn) is FunctionType:
        return bool(fn.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(
        getattr(fn, "__call__", None)  # noqa: B004
    )
