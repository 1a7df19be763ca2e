"""A connection that ends cancels nobody's task; whoever is cancelled stays so."""

import asyncio

import pytest

from runners.link.asking import may_be_cut

pytestmark = pytest.mark.anyio


async def test_what_is_cancelled_by_a_connection_that_ends_can_be_asked_again() -> None:
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def asking() -> None:
        with may_be_cut():
            await answer

    task = asyncio.create_task(asking())
    await asyncio.sleep(0)
    answer.cancel()
    with pytest.raises(TimeoutError, match="before the answer came"):
        await task


async def test_whoever_is_cancelled_is() -> None:
    async def asking() -> None:
        with may_be_cut():
            await asyncio.Event().wait()

    task = asyncio.create_task(asking())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
