"""People pause and resume schedules, and run them now."""

import pytest

from ci_host.engine.people import PersonRefused
from tests.schedules.world import ADA, DAY, HOUR, MONDAY, REPO, THREE, acts, nightly

pytestmark = pytest.mark.anyio


async def test_a_paused_schedule_begins_nothing_and_resumes_without_catching_up(world):
    await world.push(nightly(overlap="allow", catch_up="all", catch_up_window="30d"))
    await acts(world).pause(REPO.id, "nightly", ADA)
    await world.move(THREE + 2 * DAY)
    assert await world.dues() == []
    assert (await world.entry()).paused.by == "ada"
    # A push does not resume it.
    await world.push(nightly(overlap="allow", catch_up="all", catch_up_window="30d") + "\nNEW = 1")
    assert (await world.entry()).paused is not None
    await acts(world).resume(REPO.id, "nightly")
    await world.move(THREE + 3 * DAY)
    assert await world.dues() == [THREE + 3 * DAY]


async def test_a_schedule_that_was_paused_is_still_paused_when_a_broken_file_is_mended(world):
    await world.push(nightly())
    await acts(world).pause(REPO.id, "nightly", ADA)
    await world.push(nightly() + "\nthis is no Python")
    assert (await world.table()).entries == []
    await world.push("")
    await world.push(nightly())
    assert (await world.entry()).paused.by == "ada"
    await acts(world).resume(REPO.id, "nightly")
    await world.push("")
    await world.push(nightly())
    assert (await world.entry()).paused is None


async def test_a_resume_passes_over_what_no_engine_has_seen_to(world):
    await world.push(nightly(overlap="allow", catch_up="all", catch_up_window="30d"))
    await acts(world).pause(REPO.id, "nightly", ADA)
    world.timetables.move(THREE + 2 * DAY + HOUR)
    await acts(world).resume(REPO.id, "nightly")
    await world.ring()
    assert await world.dues() == []
    assert world.timetables.armed == {REPO.id: THREE + 3 * DAY}


async def test_run_now_begins_a_run_of_its_own_and_the_same_key_begins_one(world):
    await world.push(nightly(overlap="skip"))
    world.timetables.move(MONDAY + HOUR)
    first = await acts(world).run_now(REPO.id, "nightly", ADA, "k1")
    again = await acts(world).run_now(REPO.id, "nightly", ADA, "k1")
    other = await acts(world).run_now(REPO.id, "pipeline/nightly", ADA, "")
    await world.ring()
    begun = await world.starts()
    assert first == again
    assert [s.run for s in begun] == [first, other]
    assert {s.event.sender for s in begun} == {"ada"}
    assert (await world.entry()).last_run == other
    await world.end(other)
    await world.move(THREE)
    assert (await world.dues())[-1] == THREE


async def test_a_key_that_cannot_be_stored_is_refused(world):
    await world.push(nightly())
    with pytest.raises(PersonRefused, match="the key"):
        await acts(world).run_now(REPO.id, "nightly", ADA, "\ud800")
    assert not world.timetables.rings.owed


async def test_what_cannot_be_found_is_refused_with_what_there_is(world):
    one = "on.schedule('0 5 * * *', name='same')"
    await world.push(one, other=one)
    with pytest.raises(PersonRefused, match=r"several .*other/same, pipeline/same"):
        await acts(world).pause(REPO.id, "same", ADA)
    await acts(world).pause(REPO.id, "other/same", ADA)
    with pytest.raises(PersonRefused, match=r"no schedule 'x' here \(there is: same, same\)"):
        await acts(world).resume(REPO.id, "x")
