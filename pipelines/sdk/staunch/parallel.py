"""`step.parallel`: several awaitables at once, ended together."""

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import Any


def checked_steps(awaitables: Sequence[object], limit: object) -> None:
    """Raises TypeError for what cannot be awaited, or not held back until there is room."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
        raise TypeError(f"limit must be a whole number, not {limit!r}")
    if isinstance(limit, int) and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    for index, one in enumerate(awaitables, 1):
        if not inspect.isawaitable(one):
            raise TypeError(
                f"step.parallel got {type(one).__name__} as argument {index}; it takes what step"
                " verbs and async functions return: step.parallel(step.job(…), step.job(…))"
            )
        if limit is not None and asyncio.isfuture(one):
            raise TypeError(
                f"step.parallel got a task as argument {index}, which runs already; with a limit"
                " it takes what has not begun: step.job(…), not create_task(step.job(…))"
            )


async def join(
    awaitables: Sequence[Awaitable[Any]], *, fail_fast: bool, limit: int | None
) -> list[Any]:
    """The results in order. No task is left running, however this ends."""
    line, tasks = deque(awaitables), list[asyncio.Future[Any]]()
    try:
        broken = await _ended(line, tasks, fail_fast, limit or len(line))
    except GeneratorExit:
        _close(line)
        raise  # the whole Tenant is let go of: there is no loop left to wait on
    except BaseException:
        await _stop(line, tasks)
        raise
    await _stop(line, tasks)
    if broken is not None:
        broken.result()
    return _results(tasks)


def _close(line: deque[Awaitable[Any]]) -> None:
    """What has not begun never will, and is no step that somebody forgot to await."""
    while line:
        one = line.popleft()
        if inspect.iscoroutine(one):
            one.close()


async def _stop(line: deque[Awaitable[Any]], tasks: "list[asyncio.Future[Any]]") -> None:
    _close(line)
    for task in tasks:
        task.cancel()
    await _ended(deque(tasks), [], False, len(tasks))


async def _ended(
    line: deque[Any], tasks: "list[asyncio.Future[Any]]", fail_fast: bool, limit: int
) -> "asyncio.Future[Any] | None":
    """Begin those in `line`, `limit` at once, as `tasks`; wait for all, or the first that failed.

    Which one that was; without `fail_fast` always None. A step begins when another has ended, and
    not by a semaphore: that would let one more in before the failure of the last is noticed.
    """
    ended: asyncio.Future[asyncio.Future[Any] | None] = asyncio.get_running_loop().create_future()
    left = len(line)

    def begin() -> None:
        task = asyncio.ensure_future(line.popleft())
        tasks.append(task)
        task.add_done_callback(on_done)

    def on_done(task: "asyncio.Future[Any]") -> None:
        nonlocal left
        left -= 1
        if ended.done():
            return
        if fail_fast and _broke(task):
            ended.set_result(task)
        elif left == 0:
            ended.set_result(None)
        elif line:
            begin()

    if not line:
        return None
    for _ in range(min(limit, left)):
        begin()
    try:
        return await ended
    finally:
        for task in tasks:
            task.remove_done_callback(on_done)


def _broke(task: "asyncio.Future[Any]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _results(tasks: "list[asyncio.Future[Any]]") -> list[Any]:
    errors = [error for task in tasks if not task.cancelled() and (error := task.exception())]
    plain = [error for error in errors if isinstance(error, Exception)]
    if len(errors) != len(plain):
        raise next(error for error in errors if not isinstance(error, Exception))
    if len(plain) == 1:
        raise plain[0]
    if plain:
        raise ExceptionGroup(f"{len(plain)} of {len(tasks)} parallel steps failed", plain)
    return [task.result() for task in tasks]
