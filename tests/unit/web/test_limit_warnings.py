"""A Run that comes near to a limit says so on its page, in the API and on the command line."""

import re

import pytest

from ci_host.cli.reading import limit_lines
from pipelines.guest.limits import STEPS_RUN_MAX
from pipelines.usage import Usage
from tests.web.told_runs import running_run
from tests.web.visitor import check

pytestmark = pytest.mark.anyio

HALF = STEPS_RUN_MAX // 2
SAID = "12,500 of at most 25,000 steps (50 %)"


async def test_a_run_far_from_its_limits_warns_of_nothing(world):
    story = await running_run(world)
    await story.turn(usage=Usage(events=3, steps=HALF - 1, history_bytes=900, turn_bytes=300))
    shown = (await check(world, f"/api/v1/runs/{story.run}")).json()
    assert shown["warnings"] == [] and list(limit_lines(shown)) == []
    assert shown["usage"] == {
        "events": 3, "steps": HALF - 1, "history_bytes": 900, "turn_bytes": 300
    }  # fmt: skip
    assert "Near a limit" not in (await check(world, f"/runs/{story.run}")).text


async def test_a_run_near_a_limit_says_which_how_much_of_it_and_what_to_do(world):
    story = await running_run(world)
    await story.turn(usage=Usage(events=3, steps=HALF, history_bytes=900, turn_bytes=300))
    shown = (await check(world, f"/api/v1/runs/{story.run}")).json()
    [near] = shown["warnings"]
    assert (near["limit"], near["used"], near["max"]) == ("steps", HALF, STEPS_RUN_MAX)
    assert near["words"] == SAID and "step.continue_as_new" in near["advice"]
    [line] = limit_lines(shown)
    assert line == f"near a limit: {SAID}: {near['advice']}"
    text = (await check(world, f"/runs/{story.run}")).text
    [part] = re.findall(r"<dt>Near a limit</dt><dd>(.*?)</dd>", text)
    assert part == f"<strong>{SAID}</strong>: {near['advice']}"
    listed = (await check(world, "/api/v1/runs")).json()["runs"]
    assert [run["warnings"] for run in listed] == [[near]]


async def test_a_turn_that_was_made_before_usage_was_counted_says_nothing(world):
    story = await running_run(world)
    await story.turn(usage=Usage(steps=HALF))
    await story.turn()
    shown = (await check(world, f"/api/v1/runs/{story.run}")).json()
    assert shown["usage"]["steps"] == HALF
