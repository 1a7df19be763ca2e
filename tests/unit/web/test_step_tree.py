"""The list of steps: scopes, and of many that are alike one row beside those that broke."""

import re

import pytest

from pipelines.commands import Result, StepKind
from pipelines.commands import StepState as Is
from pipelines.failure import Failure
from pipelines.job import Outcome
from tests.web import shapes
from tests.web.visitor import check
from tests.web.world import Story, job

pytestmark = pytest.mark.anyio

ALIKE = [f"unit-{number}" for number in range(1, 14)]


async def panel(world, run: str, query: str = "") -> str:
    text = (await check(world, f"/runs/{run}{query}")).text
    (found,) = re.findall(r'<nav id="part-steps".*?</nav>', text, re.DOTALL)
    return found


def heads(text: str) -> list[tuple[str, str]]:
    """Each row of many, with what is said of it."""
    row = r'class="many".*?class="step-name">(.*?)</span><span class="step-took">(.*?)</span>'
    return re.findall(row, text, re.DOTALL)


async def begun(world, *keys: str) -> Story:
    story = await Story(world, 1).begin()
    await story.turn(*(job(key) for key in keys), wanted=shapes.wanting(*keys))
    return story


async def test_more_than_twelve_alike_are_one_row_and_twelve_are_twelve(world):
    story = await begun(world, "plan", *ALIKE, *(f"lint/os={n}" for n in range(12)))
    text = await panel(world, story.run)
    assert heads(text) == [("unit-*", "13 queued")]
    folded = text[text.index('class="many"') : text.index("</details>")]
    assert all(f">{key}</a>" in folded for key in ALIKE)
    assert ">plan</a>" not in folded and "os=11" not in folded


async def test_those_that_broke_stand_outside_where_the_others_are(world):
    story = await begun(world, *ALIKE, "report")
    for key in ALIKE:
        story.claim(key)
    await story.finish("unit-3")
    await story.finish("unit-7", Outcome.FAILED)
    error = Failure(type="JobFailed", message="it broke", step="unit-7")
    results = [Result(kind=StepKind.JOB, key="unit-3", state=Is.SUCCEEDED)]
    results += [Result(kind=StepKind.JOB, key="unit-7", state=Is.FAILED, error=error)]
    await story.turn(results=results, wanted=shapes.wanting("unit-1"))
    text = await panel(world, story.run)
    assert heads(text) == [("unit-*", "11 running, 1 succeeded")]
    many, _, rest = text.partition("</details>")
    assert ">unit-7</a>" not in many
    assert rest.index(">unit-7</a>") < rest.index(">report</a>")


async def test_the_row_is_open_where_the_step_is_whose_log_was_asked_for(world):
    story = await begun(world, "plan", *ALIKE)
    for query, opening in (("", ""), ("?job=plan", ""), ("?job=unit-5", " open")):
        assert f'class="many"{opening}>' in await panel(world, story.run, query)


async def test_shards_with_steps_of_their_own_are_counted_by_what_matters_most_in_each(world):
    story = await shapes.wide(world, 60, 3)
    text = await panel(world, story.run)
    assert heads(text) == [("shard-*", "28 succeeded")]
    many, _, rest = text.rpartition("<details open")
    assert ">shard-014</span>" in rest and ">shard-013</span>" in many


async def test_names_that_do_not_count_are_never_folded(world):
    story = await begun(world, *(f"step-{chr(97 + n)}" for n in range(20)))
    assert heads(await panel(world, story.run)) == []
