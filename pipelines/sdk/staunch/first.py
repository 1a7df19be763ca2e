"""`step.first`: several awaitables at once, of which the first that ends is wanted."""

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from staunch.loop import PlanLoop
from staunch.results import First

# (index or name, awaitable or its task), in the order given.
Racers = list[tuple[int | str, Any]]


def checked_racers(steps: Sequence[object], named: Mapping[str, object]) -> Racers:
    """What was given, in order. Raises TypeError for what cannot be awaited."""
    if bool(steps) == bool(named):
        raise TypeError(
            "step.first takes steps, or steps with names: step.first(step.job(…), step.sleep(…)) or"
            " step.first(built=step.job(…), late=step.sleep(…))"
        )
    racers: Racers = list(enumerate(steps) if steps else named.items())
    for which, one in racers:
        if not inspect.isawaitable(one):
            raise TypeError(
                f"step.first got {type(one).__name__} as {which!r}; it takes what step verbs and"
                " async functions return"
            )
    return racers


async def first(racers: Racers) -> First:
    """The first to end, by result or error. The others are cancelled and have ended by then."""
    line, tasks = list(racers), Racers()
    try:
        which, won = await _winner(line, tasks)
    except GeneratorExit:
        _close(line)
        raise  # the whole Tenant is let go of: there is no loop left to wait on
    except BaseException:
        await _stop(line, tasks)
        raise
    await _stop(line, tasks)
    return First(which, won.result())


async def _winner(line: Racers, tasks: Racers) -> tuple[int | str, Any]:
    """Begin one after the other, as `tasks`, until one is done; of several, the one given first.

    Each goes as far as it comes before the next begins: of two waits whose signals are there
    already, the second would take its signal too, and it would be lost.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PlanLoop), "a plan has no other"
    while line:
        which, one = line.pop(0)
        tasks.append((which, asyncio.ensure_future(one)))
        await loop.wait_idle()
        if (won := _done(tasks)) is not None:
            return won
    await _ended([task for _, task in tasks])
    won = _done(tasks)
    assert won is not None, "one has ended"
    return won


def _done(tasks: Racers) -> tuple[int | str, Any] | None:
    return next((one for one in tasks if one[1].done()), None)


async def _ended(tasks: list[asyncio.Future[Any]]) -> None:
    """Until one of them has ended, however."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_done(_: asyncio.Future[Any]) -> None:
        if not ended.done():
            ended.set_result(None)

    for task in tasks:
        task.add_done_callback(on_done)
    try:
        await ended
    finally:
        for task in tasks:
            task.remove_done_callback(on_done)


async def _stop(line: Racers, tasks: Racers) -> None:
    _close(line)
    for _, task in tasks:
        task.cancel()
    for _, task in tasks:
        if not task.done():
            await _ended([task])
        if not task.cancelled():
            task.exception()  # is nobody's any more, and asyncio shall not complain of it


def _close(line: Racers) -> None:
    """What has not begun never will, and is no step that somebody forgot to await."""
    while line:
        _, one = line.pop()
        if inspect.iscoroutine(one):
            one.close()
