"""Who has an answer already is told so before the read model is asked, and never wrongly."""

import asyncio
from contextlib import contextmanager

import httpx2
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from ci_host.access import Token, digest_of_secret
from ci_host.adapters.sql.read_model import Change, ReadModel
from pipelines.shell import Session
from tests.web.told_runs import failed_run
from tests.web.visitor import check

pytestmark = pytest.mark.anyio


@contextmanager
def statements(model: ReadModel):
    """What the database is asked meanwhile."""
    asked = []

    def note(_connection, _cursor, statement, *_more):
        if statement.startswith("SELECT"):
            asked.append(statement)

    event.listen(model.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(model.engine, "before_cursor_execute", note)


async def again(world, path: str, tag: str, who: str = "ada") -> httpx2.Response:
    return await check(world, path, who=who, headers={"if-none-match": tag})


@pytest.mark.parametrize("path", ["/api/v1/runs?state=failed", "/api/v1/runs/{run}"])
async def test_what_has_not_changed_is_not_read_again_and_what_has_is(world, path):
    story = await failed_run(world)
    where = path.format(run=story.run)
    tag = (await check(world, where)).headers["etag"]
    with statements(world.model) as asked:
        same = await again(world, where, tag)
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert same.headers["cache-control"] == "private, no-cache" and asked == []
    with statements(world.model) as asked:
        whole = await again(world, where, '"another"')
    assert (whole.status_code, whole.headers["etag"]) == (200, tag) and asked == []
    assert whole.json() == (await again(world, where, "")).json()
    # A further attempt is news of the Run that it repeats, and of every list.
    await failed_run(world, number=7)
    world.restarted("host", world.clock() - 1)
    with statements(world.model) as asked:
        later = await again(world, where, tag)
    assert asked != [] and (later.status_code, later.content) != (200, whole.content)


async def test_a_turn_that_is_not_in_the_read_model_yet_is_waited_for(world):
    story = await failed_run(world)
    where = f"/api/v1/runs/{story.run}"
    tag = (await check(world, where)).headers["etag"]
    held = []
    fold, world.fold = world.fold, lambda *told: held.append(told)
    await story.turn()
    world.fold = fold
    with statements(world.model) as asked:
        later = asyncio.create_task(again(world, where, tag))
        while not asked and not later.done():
            await asyncio.sleep(0)
    for told in held:
        world.fold(*told)
    answer = await later
    assert answer.status_code == 200 and answer.headers["etag"] != tag


async def test_what_one_was_told_is_not_the_same_for_who_sees_less(world):
    await failed_run(world)
    tag = (await check(world, "/api/v1/runs")).headers["etag"]
    narrow = Token(digest=digest_of_secret("stn_narrow"), name="eve", repos=["tea/8"])
    world.directory.tokens[narrow.digest] = narrow
    headers = {"if-none-match": tag, "authorization": "Bearer stn_narrow"}
    answer = await check(world, "/api/v1/runs", who="", headers=headers)
    assert (answer.status_code, answer.json()["runs"]) == (200, [])


async def test_a_terminal_is_news_of_its_run_though_the_read_model_knows_nothing_of_it(world):
    story = await failed_run(world)
    where = f"/api/v1/runs/{story.run}"
    tag = (await check(world, where)).headers["etag"]
    await world.shells.keep(
        Session(id="s1", job=story.job_id("unit"), by="ada", opened_at=1.0, closed_at=2.0)
    )
    later = await again(world, where, tag)
    assert later.status_code == 200 and later.json()["shells"][0]["by"] == "ada"


async def test_while_the_read_model_is_being_changed_nothing_is_known_to_be_the_same(world):
    before, seen = world.model.state, []
    world.model.apply("s", [Change(1, lambda _rows: seen.append(world.model.state))])
    assert seen == [None] and world.model.state not in (None, before)
    # A trouble of the database's leaves no doubt behind.
    trouble = OperationalError("", None, Exception("no space"))

    def fold(_rows):
        raise trouble

    with pytest.raises(OperationalError):
        world.model.apply("s", [Change(2, fold)])
    assert world.model.state is not None
