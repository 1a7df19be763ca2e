"""The outline of a log and the search in it, as programs ask for them."""

import pytest

from ci_host.api import log_reading
from pipelines.job import Outcome
from tests.web.told_runs import failed_run, running_run
from tests.web.visitor import check
from tests.web.world import Story, job

pytestmark = pytest.mark.anyio

LOG = (
    "=== make\nfine\n=== make: exit code 0 (1.0 s)\n"
    "=== make test\nerrors: none yet\nsrc/a.c:3: error: it is not 4\nmore\n"
    "=== make test: exit code 2 (3.0 s)\n"
)


async def asked(world, story, what: str, key: str = "unit"):
    return await check(world, f"/api/v1/jobs/{story.job_id(key)}/log/{what}")


async def test_the_outline_names_the_line_that_failed_and_the_parts(world):
    story = await failed_run(world, log=LOG)
    outline = (await asked(world, story, "outline")).json()
    assert (outline["lines"], outline["failing"], outline["is_open"]) == (8, 6, False)
    assert [one["line"] for one in outline["headings"]] == [1, 3, 4, 8]
    assert (outline["state"], outline["is_over"]) == ("failed", True)
    assert outline["offset"] == len(LOG)


async def test_of_a_job_that_runs_no_line_failed(world):
    story = await running_run(world)
    outline = (await asked(world, story, "outline", "eu/unit")).json()
    assert (outline["lines"], outline["failing"], outline["is_over"]) == (2, None, False)


async def test_a_job_that_wrote_nothing_has_no_line_that_failed(world):
    story = await Story(world, 4).begin()
    await story.turn(job("unit"))
    await story.claim("unit").finish("unit", Outcome.FAILED)
    outline = (await asked(world, story, "outline")).json()
    assert (outline["lines"], outline["failing"], outline["headings"]) == (0, None, [])


async def test_a_search_goes_on_where_it_stopped_and_finds_each_line_once(world, monkeypatch):
    story = await Story(world, 5).begin()
    await story.turn(job("unit"))
    offset = 0
    for part in range(50):
        text = "".join(f"Line {part * 10 + n}\n" for n in range(10))
        offset = world.write_log(story.job_id("unit"), text, offset=offset)
    wanted = list(range(1, 501))
    monkeypatch.setattr(log_reading, "SEARCH_CHARS_MAX", 500)
    assert await searched(world, story, "line") == wanted
    monkeypatch.setattr(log_reading, "MATCHES_MAX", 7)
    assert await searched(world, story, "line") == wanted
    assert await searched(world, story, "line&case=true") == []
    assert await searched(world, story, "Line 499&case=true") == [500]


async def searched(world, story, needle: str) -> list[int]:
    found, first, asked_for = [], 1, 0
    while first is not None:
        answer = (await asked(world, story, f"search?q={needle}&first={first}")).json()
        found += answer["lines"]
        assert answer["next"] is None or answer["next"] > first
        first, asked_for = answer["next"], asked_for + 1
    assert asked_for > 3 or len(found) < 2
    return found


@pytest.mark.parametrize("query", ["", "?q=", f"?q={'x' * 201}", "?q=a&first=0"])
async def test_a_search_for_nothing_or_too_much_is_refused(world, query):
    story = await failed_run(world)
    answer = await asked(world, story, f"search{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_log_that_there_is_not_is_not_found(world):
    for what in ("outline", "search?q=a", "lines"):
        answer = await check(world, f"/api/v1/jobs/0-none.unit.1/log/{what}")
        assert (answer.status_code, answer.json()["title"]) == (404, "No such job")
