"""How many Deliveries are taken at once, in peace, in a flood, and in one that does not end."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_host.engine.pace import (
    AT_ONCE_IN_FLOOD,
    AT_ONCE_MAX,
    FLOOD_PER_S,
    GIVES_WAY_S,
    REST_IN_FLOOD_S,
    Pace,
)
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio

FAST, SLOW = int(FLOOD_PER_S * 2), int(FLOOD_PER_S / 2)


async def after(*rates: int) -> Pace:
    """The Pace after seconds in which so many calls came."""
    pace, arrived = Pace(), 0
    await pace.counted(arrived, 0.0)
    for second, rate in enumerate(rates, 1):
        arrived += rate
        await pace.counted(arrived, float(second))
    return pace


async def test_in_peace_several_are_taken_at_once_and_nothing_is_waited():
    pace = await after(SLOW, SLOW)
    assert (pace.at_once, pace.rest_s) == (AT_ONCE_MAX, 0.0)


async def test_in_a_flood_one_is_taken_at_a_time_with_a_rest():
    pace = await after(SLOW, FAST)
    assert (pace.at_once, pace.rest_s) == (AT_ONCE_IN_FLOOD, REST_IN_FLOOD_S)


async def test_when_the_flood_is_over_they_are_taken_as_before():
    pace = await after(FAST, FAST, SLOW)
    assert (pace.at_once, pace.rest_s) == (AT_ONCE_MAX, 0.0)


async def test_to_a_flood_that_does_not_end_way_is_given_for_a_while_only():
    lasting = int(GIVES_WAY_S)
    assert (await after(*[FAST] * lasting)).at_once == AT_ONCE_IN_FLOOD
    assert (await after(*[FAST] * (lasting + 1))).at_once == AT_ONCE_MAX
    assert (await after(*[FAST] * (lasting + 1), SLOW, FAST)).at_once == AT_ONCE_IN_FLOOD


async def test_the_first_count_tells_nothing_nor_does_one_of_the_same_moment():
    pace = Pace()
    await pace.counted(10_000_000, 5.0)
    await pace.counted(20_000_000, 5.0)
    assert pace.at_once == AT_ONCE_MAX


@given(st.lists(st.integers(0, 5_000), max_size=200))
async def test_whatever_comes_something_is_taken(rates):
    assert (await after(*rates)).at_once >= 1


async def test_who_finds_no_room_waits_until_one_is_done():
    pace = Pace()
    for _ in range(AT_ONCE_MAX):
        await pace.enter()
    waiting = asyncio.ensure_future(pace.enter())
    await asyncio.wait({waiting}, timeout=0.01)
    assert not waiting.done()
    await pace.leave()
    await asyncio.wait_for(waiting, PATIENCE_S)


async def test_the_end_of_a_flood_lets_in_who_waited():
    pace = await after(FAST)
    await pace.enter()
    waiting = asyncio.ensure_future(pace.enter())
    await asyncio.wait({waiting}, timeout=0.01)
    assert not waiting.done()
    await pace.counted(FAST + SLOW, 2.0)
    await asyncio.wait_for(waiting, PATIENCE_S)
