"""The page of deliveries: what became of each, and having one taken again."""

import pytest

from ci_host.status_ports import Untold
from pipelines.status import Status, StatusState
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


def untold(**changes) -> Untold:
    facts = {
        "id": "s-1", "connection": "tea", "repo": "7", "repo_name": "me/shop", "commit": "a" * 40,
        "context": "staunch/build", "state": StatusState.FAILURE, "description": "d",
        "target_url": "u", "at": 1.0, "run": "1-00000000000000000001",
    }  # fmt: skip
    return Untold(status=Status(**{**facts, **changes}), reason="the forge answered 401", since=1.0)


async def test_statuses_that_no_forge_took_are_listed_with_the_reason_and_told_again(world):
    await world.untold.keep(untold())
    text = (await check(world, "/deliveries")).text
    assert "the forge answered 401" in text and "Tell them again" in text
    assert 'href="/runs/1-00000000000000000001"' in text
    done = await check(world, "/statuses/again", data={})
    assert (done.status_code, done.headers["location"]) == (303, "/deliveries")
    assert [one.again_of for one in world.outbox.put_in] == ["s-1"]


async def test_they_are_told_again_by_administrators_and_seen_by_who_sees_the_repository(world):
    await world.untold.keep(untold())
    await world.untold.keep(untold(repo="8", repo_name="you/secret"))
    assert "Tell them again" not in (await check(world, "/deliveries", who="grace")).text
    assert (await check(world, "/statuses/again", who="grace", data={})).status_code == 403
    assert not world.outbox.put_in


async def test_where_every_forge_took_everything_nothing_is_said_of_it(world):
    assert "no forge took" not in (await check(world, "/deliveries")).text
