"""The page of deliveries: what became of each, and having one taken again."""

import pytest

from tests.web.visitor import check

pytestmark = pytest.mark.anyio


async def test_an_administrator_has_a_delivery_taken_again_that_started_nothing(world):
    world.delivered("d-1", reason="no pipeline runs on it")
    world.delivered("d-2", runs=["1-00000000000000000001"])
    text = (await check(world, "/deliveries")).text
    assert text.count("Take it again") == 1 and 'name="id" value="d-1"' in text
    form = {"id": "d-1", "connection": "tea"}
    done = await check(world, "/deliveries/replay", data=form)
    assert (done.status_code, done.headers["location"]) == (303, "/deliveries")
    again = [one for (_, id_), one in world.inbox.kept.items() if id_.startswith("replay-")]
    assert [(one.body, one.event) for one in again] == [("{}", "push")]


async def test_nobody_else_is_offered_it_or_may_do_it(world):
    world.delivered("d-1", reason="no pipeline runs on it")
    assert "Take it again" not in (await check(world, "/deliveries", who="grace")).text
    form = {"id": "d-1", "connection": "tea"}
    assert (await check(world, "/deliveries/replay", who="grace", data=form)).status_code == 403
    assert len(world.inbox.kept) == 1


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"id": "d-9", "connection": "tea"}, 404, "There is no"),
        ({"connection": "tea"}, 422, "Use the button of the page."),
    ],
)
async def test_what_is_not_there_is_said_on_a_page(world, form, status, said):
    done = await check(world, "/deliveries/replay", data=form)
    assert done.status_code == status and said in done.text and "<html" in done.text
