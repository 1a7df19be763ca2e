"""Coverage that jobs reported: on the page, in the API, and beside the run before of the branch."""

import pytest

from ci_host.cli.waits import coverage_words
from pipelines.job import Coverage, CoveredFile
from tests.web.visitor import check
from tests.web.world import Story, job

pytestmark = pytest.mark.anyio


def coverage(covered: int, lines: int = 10) -> Coverage:
    files = [
        CoveredFile(file="src/<a>.py", covered=covered, lines=lines),
        CoveredFile(file="whole.py", covered=4, lines=4),
    ]
    return Coverage(covered=covered + 4, lines=lines + 4, files=files, left_out=3)


async def ran(world, number, found=None, *, key="unit", **event):
    """A Run whose job reported this."""
    story = await Story(world, number).begin(**event)
    await story.turn(job(key))
    more = {} if found is None else {"coverage": found}
    await story.later().finish(key, **more)
    return story


async def shown(world, story):
    """The coverage of the Run's first attempt, as the API has it."""
    detail = (await check(world, f"/api/v1/runs/{story.run}")).json()
    return detail["attempts"][0]["coverage"]


async def test_the_counts_of_a_job_are_in_the_api_and_on_its_page(world):
    story = await ran(world, 1, coverage(3))
    assert await shown(world, story) == {
        "covered": 7, "lines": 14, "percent": 50.0, "before": None
    }  # fmt: skip
    page = (await check(world, f"/runs/{story.run}?tab=tests")).text
    assert "Coverage 50.0 %" in page and "7 of 14 lines" in page
    assert "src/&lt;a&gt;.py" in page and "7 of 10 lines missed" in page
    assert "whole.py" not in page
    [found] = (await check(world, f"/api/v1/runs/{story.run}/coverage")).json()["jobs"]
    assert (found["key"], found["percent"], found["files_left_out"]) == ("unit", 50.0, 3)
    assert found["files"][0] == {
        "file": "src/<a>.py", "covered": 3, "lines": 10, "percent": 30.0
    }  # fmt: skip


async def test_it_is_compared_with_the_newest_earlier_run_of_the_same_branch_and_job(world):
    first = await ran(world, 1, coverage(3))
    await ran(world, 2, coverage(9), ref="refs/heads/other")
    await ran(world, 3, coverage(8), key="lint")
    await ran(world, 4)
    later = await ran(world, 5, coverage(4))
    found = await shown(world, later)
    assert found["before"] == {"run": first.run, "covered": 7, "lines": 14, "percent": 50.0}
    assert coverage_words(found) == f"coverage 57.14 % of 14 lines, +7.14 since {first.run}"
    page = (await check(world, f"/runs/{later.run}?tab=tests")).text
    assert f'+7.14 since <a href="/runs/{first.run}">' in page
    # A later one changes nothing of it.
    await ran(world, 6, coverage(1))
    assert (await shown(world, later))["before"]["run"] == first.run


async def test_a_run_without_coverage_has_none(world):
    story = await ran(world, 1)
    assert await shown(world, story) is None
    assert "Coverage" not in (await check(world, f"/runs/{story.run}?tab=tests")).text
    assert (await check(world, f"/api/v1/runs/{story.run}/coverage")).json()["jobs"] == []
    assert (await check(world, f"/api/v1/runs/{story.run}/coverage", who="")).status_code == 401
