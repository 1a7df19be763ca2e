"""Asking again, as long as the other side is away.

Here: how often, and for how long. What is asked must be harmless when it is repeated.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from runners.ports import Unavailable

RETRY_S_MIN, RETRY_S_MAX = 0.1, 5.0

T = TypeVar("T")

log = structlog.get_logger("runners.retrying")


async def until_done(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat `call`, which may be repeated without harm, until the other side has answered."""
    delay = RETRY_S_MIN
    while True:
        try:
            return await call()
        except Unavailable as reason:
            log.warning("retrying", reason=str(reason), delay_s=delay)
            await asyncio.sleep(delay)
            delay = min(RETRY_S_MAX, delay * 2)
