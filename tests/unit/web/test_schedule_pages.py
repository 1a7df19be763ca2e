"""The page of schedules, what can be done on it, and the page of a run that one began."""

import pytest

from pipelines.event import EventKind, Scheduled
from pipelines.schedule import RUNNING_STILL
from tests.web.schedules import scheduled
from tests.web.visitor import check
from tests.web.world import NOW, Story

pytestmark = pytest.mark.anyio


async def test_schedules_say_when_they_are_due_and_what_became_of_the_last_time(world):
    assert "on.schedule(" in (await check(world, "/schedules")).text
    await scheduled(world)
    text = (await check(world, "/schedules")).text
    assert "nightly" in text and "Europe/Berlin" in text and "in 2h 00m" in text
    assert 'href="/runs/1-00000000000000000001"' in text
    assert RUNNING_STILL in text


async def test_a_schedule_is_paused_resumed_and_run_from_its_page(world):
    await scheduled(world)
    form = {"repo": "tea/7", "name": "pipeline/nightly"}
    answer = await check(world, "/schedules/pause", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/schedules")
    text = (await check(world, "/schedules")).text
    assert "Paused" in text and "<bdi>ada</bdi>" in text and 'action="/schedules/resume"' in text
    await check(world, "/schedules/resume", data=form)
    assert 'action="/schedules/pause"' in (await check(world, "/schedules")).text
    await check(world, "/schedules/run-now", data=form)
    (rung,) = world.timetables.rings.owed.values()
    assert (rung.item.name, rung.item.by) == ("nightly", "ada")


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/schedules/pause", {"repo": "tea/7", "name": "weekly"}, 404),
        ("/schedules/pause", {"repo": "tea/8", "name": "nightly"}, 404),
        ("/schedules/pause", {}, 404),
        ("/schedules/burn", {"repo": "tea/7", "name": "nightly"}, 404),
    ],
)
async def test_what_is_wrong_with_an_act_on_a_schedule_is_said_on_a_page(world, path, form, status):
    await scheduled(world)
    answer = await check(world, path, data=form)
    assert answer.status_code == status and "<html" in answer.text
    assert not world.timetables.rings.owed


async def test_the_page_of_a_scheduled_run_names_its_schedule(world):
    facts = {"name": "nightly", "cron": "0 3 * * *", "tz": "UTC", "due": NOW, "overlap": "skip"}
    story = await Story(world).begin(
        kind=EventKind.SCHEDULE, sender="", message="", schedule=Scheduled(**facts)
    )
    text = (await check(world, f"/runs/{story.run}")).text
    assert "<h1><bdi>nightly</bdi></h1>" in text and "its schedule" in text
