"""Due times that were missed, and what is made of them when everything is back at once."""

import pytest

from pipelines import schedule
from pipelines.schedule import MISSED
from tests.schedules.world import DAY, HOUR, MONDAY, REPO, THREE, ScheduleWorld, nightly

pytestmark = pytest.mark.anyio


async def back_after(world: ScheduleWorld, days: int, **options: object) -> list[float]:
    """The store was away from Monday noon on; then it is back. The due times that were begun."""
    await world.push(nightly(overlap="allow", **options))
    world.timetables.move(MONDAY + days * DAY + 12 * HOUR)
    await world.ring()
    return await world.dues()


async def test_none_catches_nothing_up(world):
    assert await back_after(world, 4, catch_up="none") == []
    entry = await world.entry()
    assert (entry.skipped.due, entry.skipped.reason) == (THREE + 4 * DAY, MISSED)
    assert entry.next == THREE + 5 * DAY


async def test_last_which_is_the_default_begins_the_last_that_was_missed(world):
    assert await back_after(world, 4) == [THREE + 4 * DAY]


async def test_all_begins_each_within_its_window_in_order(world):
    missed = [THREE + day * DAY for day in range(5)]
    assert await back_after(world, 4, catch_up="all", catch_up_window="30d") == missed


async def test_all_is_bounded_by_its_window(world):
    found = await back_after(world, 4, catch_up="all", catch_up_window="2d")
    assert found == [THREE + 3 * DAY, THREE + 4 * DAY]


async def test_all_is_bounded_by_its_count(world):
    options = {"catch_up_window": "300d", "catch_up_limit": 3}
    found = await back_after(world, 90, catch_up="all", **options)
    assert found == [THREE + day * DAY for day in (88, 89, 90)]


async def test_years_of_minutes_that_were_missed_are_caught_up_at_once(world):
    await world.push("on.schedule('* * * * *', name='tick', overlap='allow')")
    world.timetables.move(MONDAY + 1_000 * DAY + 90)
    await world.ring()
    # The last minute, which is in time, and the one at the edge of it.
    assert (await world.dues())[-1] == MONDAY + 1_000 * DAY + 60
    assert len(await world.dues()) <= 2


async def test_what_comes_a_little_late_is_in_time_whatever_is_said_of_catching_up(world):
    await world.push(nightly(catch_up="none"))
    world.timetables.move(THREE + 59)
    await world.ring()
    assert await world.dues() == [THREE]


async def test_with_skip_of_all_that_was_missed_only_the_last_is_begun(world):
    await world.push(nightly(catch_up="all", catch_up_window="30d"))
    world.timetables.move(THREE + 3 * DAY)
    await world.ring()
    assert await world.dues() == [THREE + 3 * DAY]


async def test_more_than_one_decision_may_want_is_begun_by_several(world, monkeypatch):
    monkeypatch.setattr(schedule, "BEGUN_MAX", 4)
    options = ", overlap='allow', catch_up='all', catch_up_limit=3, catch_up_window='30d'"
    names = [f"n{n}" for n in range(5)]
    await world.push("\n".join(f"on.schedule('0 3 * * *', name='{n}'{options})" for n in names))
    world.timetables.move(THREE + 6 * DAY)
    await world.ring()
    assert len(await world.dues()) == 15
    assert world.timetables.armed == {REPO.id: THREE + 7 * DAY}
