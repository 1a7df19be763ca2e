"""Asking over a connection that may end before the answer comes.

The client then cancels some of what waits on it, which looks as if somebody had cancelled the task.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def may_be_cut() -> Iterator[None]:
    """A cancellation that nobody asked of this task is a TimeoutError: ask again."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise TimeoutError("the connection ended before the answer came") from None
