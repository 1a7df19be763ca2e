"""`step.parallel`: several awaitables at once, ended together."""

import asyncio
import inspect
from collections.abc import Awaitable, Sequence
from typing import Any


def checked_steps(awaitables: Sequence[object]) -> None:
    """Raises TypeError for what cannot be awaited."""
    for index, one in enumerate(awaitables, 1):
        if not inspect.isawaitable(one):
            raise TypeError(
                f"step.parallel got {type(one).__name__} as argument {index}; it takes what step"
                " verbs and async functions return: step.parallel(step.job(…), step.job(…))"
            )


async def join(awaitables: list[Awaitable[Any]], *, fail_fast: bool) -> list[Any]:
    """The results in order. No task is left running, however this ends."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(one) for one in awaitables]
    try:
        broken = await _ended(tasks, fail_fast)
    except GeneratorExit:
        raise  # the whole Tenant is let go of: there is no loop left to wait on
    except BaseException:
        await _stop(tasks)
        raise
    await _stop(tasks)
    if broken is not None:
        broken.result()
    return _results(tasks)


async def _stop(tasks: "list[asyncio.Future[Any]]") -> None:
    for task in tasks:
        task.cancel()
    await _ended(tasks, False)


async def _ended(
    tasks: "list[asyncio.Future[Any]]", fail_fast: bool
) -> "asyncio.Future[Any] | None":
    """Wait until all are done, or (`fail_fast`) one has failed: that one."""
    ended: asyncio.Future[asyncio.Future[Any] | None] = asyncio.get_running_loop().create_future()
    left = len(tasks)

    def on_done(task: "asyncio.Future[Any]") -> None:
        nonlocal left
        left -= 1
        if ended.done():
            return
        if fail_fast and _broke(task):
            ended.set_result(task)
        elif left == 0:
            ended.set_result(None)

    if not tasks:
        return None
    for task in tasks:
        task.add_done_callback(on_done)
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
