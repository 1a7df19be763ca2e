"""A priority on the pages: it is shown where it is not normal, and chosen for a further attempt."""

import httpx2
import pytest

from pipelines.priority import Priority
from pipelines.run import RunState
from pipelines.turn import End
from tests.web.world import SECRETS, Story, World

pytestmark = pytest.mark.anyio


async def check(world: World, path: str, data: dict[str, str] | None = None) -> httpx2.Response:
    """What a browser gets there, or gets for its form."""
    cookies = {"staunch_token": SECRETS["ada"]}
    transport = httpx2.ASGITransport(app=world.app)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://test", cookies=cookies
    ) as client:
        if data is None:
            return await client.get(path)
        return await client.post(path, headers={"sec-fetch-site": "same-origin"}, data=data)


async def over(world: World, priority: Priority) -> Story:
    story = await Story(world).begin(priority=priority)
    await story.turn(end=End(state=RunState.CANCELLED))
    return story


@pytest.mark.parametrize(
    ("chosen", "kept"), [("urgent", "urgent"), ("normal", "normal"), ("", "low")]
)
async def test_a_run_is_run_again_with_the_priority_that_was_chosen(
    world: World, chosen: str, kept: str
) -> None:
    story = await over(world, Priority.LOW)
    answer = await check(world, f"/runs/{story.run}/again", {"priority": chosen})
    started = await world.history.started(answer.headers["location"].removeprefix("/runs/"))
    assert started is not None
    assert started.level == kept


async def test_a_priority_is_shown_unless_it_is_normal(world: World) -> None:
    story = await over(world, Priority.LOW)
    page = (await check(world, f"/runs/{story.run}")).text
    assert "<dt>Priority</dt><dd>low</dd>" in page
    assert '<option selected value="low">' in page
    assert "low priority" in (await check(world, "/")).text
    other = await Story(world, 2).begin()
    assert "<dt>Priority</dt>" not in (await check(world, f"/runs/{other.run}")).text
    assert (await check(world, f"/api/v1/runs/{other.run}")).json()["priority"] == "normal"


async def test_a_priority_that_there_is_not_runs_nothing_again(world: World) -> None:
    story = await over(world, Priority.NORMAL)
    answer = await check(world, f"/runs/{story.run}/again", {"priority": "highest"})
    assert answer.status_code == 422
    assert "A priority is one of urgent, high, normal, low" in answer.text
    assert world.history.runs() == [story.run]
