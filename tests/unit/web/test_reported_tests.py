"""Tests that jobs reported: on the run's page, and over many runs in the API."""

import pytest

from pipelines.job import Outcome, ReportedTest
from runners.junit import summed
from tests.web.visitor import check
from tests.web.world import Story, job

pytestmark = pytest.mark.anyio


def reported(**outcomes):
    """Tests of one suite, by name: an outcome, or one and how long it took."""
    tests = []
    for name, given in outcomes.items():
        outcome, seconds = given if isinstance(given, tuple) else (given, 0.5)
        tests.append(ReportedTest(name=name, suite="s<b>", outcome=outcome, seconds=seconds))
    return summed(tests)


async def ran(world, number, *attempts, commit="c" * 40):
    """A Run whose job reported these tests, an attempt each."""
    story = await Story(world, number).begin(commit=commit)
    for attempt, tests in enumerate(attempts, 1):
        await story.turn(job("unit", attempt))
        how = Outcome.FAILED if tests.failed else Outcome.SUCCEEDED
        await story.later().finish("unit", how, attempt=attempt, tests=tests)
    return story


async def test_the_page_counts_the_tests_and_shows_those_that_failed(world):
    story = await ran(world, 1, reported(one="passed", two="failed", three="skipped", four="error"))
    bar = (await check(world, f"/runs/{story.run}")).text
    assert 'Tests <span class="tab-count bad">2 failed</span>' in bar
    page = (await check(world, f"/runs/{story.run}?tab=tests")).text
    assert "1 passed · 2 failed · 1 skipped" in page
    assert page.count("<code><bdi>s&lt;b&gt; ") == 4 and "<b>" not in page.replace("<bdi>", "")
    shown = (await check(world, f"/api/v1/runs/{story.run}")).json()
    assert shown["attempts"][0]["tests"] == {
        "passed": 1, "failed": 2, "skipped": 1, "seconds": 2.0, "left_out": 0
    }  # fmt: skip


async def test_the_api_has_the_tests_of_a_run_by_outcome_and_job(world):
    story = await ran(world, 1, reported(one="passed", two="failed", four="error"))
    path = f"/api/v1/runs/{story.run}/tests"
    names = {}
    for query in ("", "?outcome=broken", "?outcome=error", "?job=other", "?job=unit&limit=1"):
        answer = (await check(world, path + query)).json()
        names[query] = [one["name"] for one in answer["tests"]]
    assert names == {
        "": ["one", "two", "four"],
        "?outcome=broken": ["two", "four"],
        "?outcome=error": ["four"],
        "?job=other": [],
        "?job=unit&limit=1": ["one"],
    }
    assert (await check(world, path + "?outcome=odd")).status_code == 422
    assert (await check(world, path, who="")).status_code == 401


async def test_a_test_that_passed_and_failed_at_one_commit_is_flaky(world):
    flaky, fixed = "failed", "failed"
    await ran(
        world, 1, reported(flaky=flaky, fixed=fixed, good="passed", off="skipped"),
        reported(flaky="passed", fixed=fixed, good="passed", off="skipped"),
        commit="a" * 40,
    )  # fmt: skip
    story = await ran(
        world, 2, reported(flaky="passed", fixed="passed", good=("passed", 9.0)), commit="b" * 40
    )
    repo = (await check(world, f"/api/v1/runs/{story.run}")).json()["repo_name"]
    [found] = (await check(world, f"/api/v1/tests?repo={repo}&flaky=true")).json()["tests"]
    assert (found["name"], found["times"], found["failed"]) == ("flaky", 3, 1)
    assert (found["flaky_commits"], found["last_outcome"]) == (1, "passed")
    assert found["last_run"] == story.run
    every = (await check(world, f"/api/v1/tests?repo={repo}")).json()["tests"]
    assert [(one["name"], one["seconds_p95"]) for one in every] == [
        ("flaky", 0.5), ("good", 9.0), ("fixed", 0.5)
    ]  # fmt: skip
    assert (await check(world, "/api/v1/tests?repo=another")).json() == {"tests": []}


async def test_a_report_that_is_told_twice_counts_once(world):
    tests = reported(one="passed")
    story = await ran(world, 1, tests)
    await story.finish("unit", tests=tests)
    answer = (await check(world, f"/api/v1/runs/{story.run}/tests")).json()
    assert len(answer["tests"]) == 1
