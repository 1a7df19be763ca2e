"""A repository's page: its branches' runs, numbers, flaky tests, what is due and what waits."""

import pytest

from ci_host.access import Token, digest_of_secret
from ci_host.adapters.sql import branches
from ci_host.web.bars import CUT_AT, HEIGHT, LEAST, SHOWN, bars
from pipelines.commands import Open, OpenJob
from pipelines.job import Outcome, ReportedTest
from pipelines.repo import Repo
from pipelines.run import RunState
from pipelines.turn import End
from runners.junit import summed
from tests.web.schedules import scheduled
from tests.web.told_runs import failed_run, running_run, waiting_run
from tests.web.visitor import check
from tests.web.world import Story, job

pytestmark = pytest.mark.anyio


async def over(world, number: int, state=RunState.SUCCEEDED, seconds=60.0, **event) -> Story:
    story = await Story(world, number).begin(**event)
    await story.later(seconds).turn(end=End(state=state))
    return story


async def test_the_newest_runs_are_bars_with_links_and_words(world):
    story = await failed_run(world, 1)
    await over(world, 2, message="Second")
    text = (await check(world, "/repos/me/shop")).text
    assert text.count('class="run-bar s-failed"') == 2, "one of them is the legend's"
    assert f'href="/runs/{story.run}" aria-label="Failed, 4.0s' in text
    assert "Second (pipeline, 0123456789)" in text and "50 %" in text


async def test_a_repository_that_is_not_there_or_not_seen_is_not_found(world):
    world.directory.repos["tea/8"] = Repo(
        id="tea/8", connection="tea", external_id="8", name="me/other", clone_url="/x"
    )
    secret = "stn_nina"
    world.directory.tokens[digest_of_secret(secret)] = Token(
        digest=digest_of_secret(secret), name="nina", repos=["tea/7"]
    )
    assert (await check(world, "/repos/me/nothing")).status_code == 404
    nina = {"headers": {"authorization": f"Bearer {secret}"}, "who": ""}
    hidden = await check(world, "/repos/me/other", **nina)
    absent = await check(world, "/repos/me/nobody", **nina)
    assert (hidden.status_code, absent.status_code) == (404, 404)
    assert hidden.text.replace("other", "nobody") == absent.text
    assert (await check(world, "/repos/me/shop", **nina)).status_code == 200
    listed = (await check(world, "/repos", **nina)).text
    assert "me/shop" in listed and "me/other" not in listed
    assert "me/other" in (await check(world, "/repos")).text


async def test_a_branch_and_a_pipeline_can_be_chosen(world):
    await over(world, 1, message="On main")
    await over(world, 2, message="On the side", ref="refs/heads/side/way")
    text = (await check(world, "/repos/me/shop")).text
    assert "On main (pipeline" in text and "On the side (pipeline" not in text
    assert 'href="?branch=side/way"' in text, "main is shown, and the other one is listed"
    text = (await check(world, "/repos/tea/7?branch=side/way")).text
    assert "On the side (pipeline" in text and "On main (pipeline" not in text
    text = (await check(world, "/repos/tea/7?branch=side/way&pipeline=other")).text
    assert "No run of this branch and pipeline" in text


async def test_called_imported_and_pull_requests_runs_are_no_news_of_a_branch(world):
    kept = await over(world, 1)
    other = await over(world, 2)

    def change(rows):
        row = rows.find(branches.RunRow, other.run)
        row.parent = kept.run
        rows.add(row)

    world.fold(other.run, change)
    found = branches.runs_of_branch(world.model, "tea/7", "refs/heads/main")
    assert [row.id for row in found] == [kept.run]
    assert [row.id for row in branches.branches(world.model, "tea/7")] == [kept.run]


async def test_a_test_that_passed_and_failed_at_one_commit_is_flaky(world):
    runs = []
    for number, outcome in ((1, "failed"), (2, "passed")):
        story = await Story(world, number).begin()
        await story.turn(job("unit"), wanted=Open(jobs=[OpenJob(key="unit", attempt=1)]))
        tests = [
            ReportedTest(name="test_moody", suite="cart", outcome=outcome),
            ReportedTest(name="test_firm", suite="cart", outcome="passed"),
        ]
        await (
            story.later()
            .claim("unit")
            .later()
            .finish("unit", Outcome.SUCCEEDED, tests=summed(tests))
        )
        runs.append(story.run)
    text = (await check(world, "/repos/me/shop")).text
    assert "test_moody" in text and "test_firm" not in text and "1 of 2" in text
    assert f'href="/runs/{runs[0]}?tab=tests"' in text


async def test_gates_that_wait_and_schedules_that_are_due_are_there(world):
    await scheduled(world)
    story = await waiting_run(world, 1)
    text = (await check(world, "/repos/me/shop", who="grace")).text
    assert "Waits for an answer" in text and "yours to answer" in text
    assert f'<a href="/runs/{story.run}"><code>approve</code>' in text
    assert "nightly" in text and "in 1h 59m" in text


async def test_of_a_repository_without_runs_there_is_a_page(world):
    text = (await check(world, "/repos/me/shop")).text
    assert "No branch has a run yet" in text and "No test that was reported" in text
    assert "No run of a branch yet" in (await check(world, "/repos")).text


async def test_programs_see_branches_and_how_they_stand(world):
    await over(world, 1, RunState.FAILED, 30)
    await over(world, 2, RunState.SUCCEEDED, 10)
    await over(world, 3, RunState.CANCELLED, 900)
    await running_run(world, 4, ref="refs/heads/next")
    found = (await check(world, "/api/v1/branches?repo=me/shop")).json()["branches"]
    assert [one["ref"] for one in found] == ["refs/heads/next", "refs/heads/main"]
    health = (await check(world, "/api/v1/branches/health?repo=me/shop&ref=main")).json()
    assert (health["succeeded"], health["failed"], health["success_share"]) == (1, 1, 0.5)
    assert (health["median_s"], health["p95_s"], len(health["runs"])) == (10, 30, 3)


async def test_a_bar_is_as_high_as_its_run_took_long_and_one_of_days_is_cut(world):
    for number, seconds in enumerate((10, 20, 20, 10_000), 1):
        await over(world, number, seconds=seconds)
    rows = branches.runs_of_branch(world.model, "tea/7", "refs/heads/main")
    drawn = bars(rows, world.clock())
    assert [bar.is_cut for bar in drawn] == [False, False, False, True]
    assert [bar.height for bar in drawn[1:]] == [round(HEIGHT / CUT_AT)] * 2 + [HEIGHT]
    assert drawn[0].height == round(HEIGHT / CUT_AT / 2) and bars([], 0.0) == []
    assert all(bar.height >= LEAST for bar in drawn)
    assert len(bars(list(rows) * SHOWN, world.clock())) == SHOWN


async def test_what_a_stranger_wrote_stays_text_on_the_page(world):
    await over(world, 1, message='"><script>x</script>', ref='refs/heads/"><b>')
    for path in ("/repos", "/repos/me/shop", "/repos/me/shop?branch=%22%3E%3Cb%3E"):
        assert "<script>x" not in (await check(world, path)).text
        assert "<b>" not in (await check(world, path)).text
