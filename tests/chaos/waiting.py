"""Waiting: look again and again until something is so, from a coroutine."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tests.demo.installation import Gone
from tests.patience import PATIENCE_S

T = TypeVar("T")


async def until(
    what: str, look: Callable[[], Awaitable[T]], timeout_s: float = PATIENCE_S, every_s: float = 0.1
) -> T:
    """Look until there is something to see; Gone names `what` if there never is."""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                found = await look()
                if found:
                    return found
                await asyncio.sleep(every_s)
    except TimeoutError:
        raise Gone(f"waited {timeout_s:.0f} s in vain for {what}") from None
