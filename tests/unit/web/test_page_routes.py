"""The list of runs, the page of a run, of deliveries, and of what is not there."""

import re

import pytest

from ci_host.web.site import FOR_MACHINES
from pipelines.commands import Result, StepKind, StepState
from pipelines.event import EventKind, PullRequest
from pipelines.events import Rerun
from pipelines.job import Annotation
from pipelines.note import Note
from tests.web.told_runs import failed_run, running_run, waiting_run
from tests.web.visitor import check
from tests.web.world import Story, job

pytestmark = pytest.mark.anyio


async def test_the_list_shows_each_run_with_its_state_in_words_newest_first(world):
    await failed_run(world, 2)
    await waiting_run(world, 1)
    text = (await check(world, "/")).text
    assert text.index("Waiting") < text.index('class="state s-failed"')
    assert "Waits for gate approve" in text
    assert "A shop with a cart" in text and "And more." not in text


async def test_what_a_run_says_is_shown_in_the_list_and_on_its_page_and_stays_text(world):
    story = await waiting_run(world, 1)
    await story.turn(note=Note(text="shipping <b>", done=3, total=7))
    for path in ("/", f"/runs/{story.run}"):
        assert "shipping &lt;b&gt; (3 of 7)" in (await check(world, path)).text
    (run,) = (await check(world, "/api/v1/runs")).json()["runs"]
    assert run["note"] == {
        "text": "shipping <b>", "done": 3, "total": 7, "words": "shipping <b> (3 of 7)"
    }  # fmt: skip
    await story.turn()
    assert "shipping" in (await check(world, f"/runs/{story.run}")).text
    await story.turn(note=Note())
    assert "shipping" not in (await check(world, f"/runs/{story.run}")).text


async def test_filters_leave_out_what_does_not_match(world):
    await failed_run(world, 2)
    await waiting_run(world, 1, ref="refs/heads/side")
    assert "1-00000000000000000001" not in (await check(world, "/?state=failed")).text
    assert "1-00000000000000000002" not in (await check(world, "/?ref=side")).text
    assert "No run is like this" in (await check(world, "/?repo=other/one")).text


async def test_a_full_page_of_the_list_leads_on_to_older_runs(world):
    for number in range(1, 53):
        await running_run(world, number)
    first = (await check(world, "/?repo=me/shop")).text
    (older,) = re.findall(r'href="([^"]+)" rel="next"', first)
    second = (await check(world, older.replace("&amp;", "&"))).text
    shown = [set(re.findall(r"/runs/(1-\w+)", text)) for text in (first, second)]
    assert (len(shown[0]), len(shown[1])) == (50, 2)
    assert not shown[0] & shown[1]


async def test_an_empty_installation_says_what_to_do(world):
    assert "staunch repo add" in (await check(world, "/")).text


async def test_a_failed_run_shows_why_before_anything_else(world):
    note = Annotation(file="tests/test_cart.py", line=8, message="3 is not 4")
    story = await failed_run(world, annotations=[note])
    text = (await check(world, f"/runs/{story.run}")).text
    card, steps = text.index('class="failure card"'), text.index('id="part-steps"')
    assert card < steps
    for said in (
        ".staunch/pipeline.py:12",
        "tests/test_cart.py:8",
        "3 is not 4",
        "FAIL: it is not",
    ):
        assert card < text.index(said) < steps
    assert "https://forge.test/me/shop/src/commit/0123456789" in text
    assert "/.staunch/pipeline.py#L12" in text


async def test_a_run_is_found_by_the_beginning_of_its_id(world):
    story = await running_run(world)
    assert story.run in (await check(world, "/runs/1-0000")).text


async def test_a_running_job_is_chosen_and_its_log_is_there_without_scripts(world):
    story = await running_run(world)
    text = (await check(world, f"/runs/{story.run}")).text
    assert f'data-job="{story.job_id("eu/unit")}"' in text
    assert "<span>green so far</span>" in text
    assert ">eu</span></summary>" in text


async def test_the_address_chooses_the_log(world):
    story = await failed_run(world)
    text = (await check(world, f"/runs/{story.run}?job=unit&attempt=1")).text
    assert f'data-job="{story.job_id("unit")}"' in text


async def test_a_fragment_holds_the_parts_and_no_frame(world):
    story = await running_run(world)
    text = (await check(world, f"/runs/{story.run}/fragment")).text
    assert "<html" not in text
    parts = set(re.findall(r'id="(part-\w+)"', text))
    assert parts == {
        "part-head", "part-failure", "part-gates", "part-steps", "part-log", "part-handed",
        "part-tab",
    }  # fmt: skip
    assert "log-lines" not in text


async def test_a_pull_request_leads_to_its_forge(world):
    pull = PullRequest(number=7, action="opened", base_ref="main", head_ref="x")
    story = await running_run(
        world, kind=EventKind.PULL_REQUEST, ref="refs/pull/7/head", pull_request=pull
    )
    assert (
        'href="https://forge.test/me/shop/pulls/7"'
        in (await check(world, f"/runs/{story.run}")).text
    )


async def test_attempts_of_the_same_lead_to_each_other(world):
    first = await failed_run(world, 1)
    rerun = Rerun(of=first.run, origin=first.run, attempt=2, by="ada")
    second = await Story(world, 2).begin(rerun=rerun)
    kept = Result(kind=StepKind.JOB, key="unit", state=StepState.SUCCEEDED, recalled_from=first.run)
    await second.turn(job("unit"), results=[kept])
    text = (await check(world, f"/runs/{first.run}")).text
    assert f'<a href="/runs/{second.run}">attempt 2</a>' in text and "Only what failed" in text
    text = (await check(world, f"/runs/{second.run}")).text
    assert f'<a href="/runs/{first.run}">attempt 1</a>' in text
    assert f"recalled from run {first.run}" in text
    shown = (await check(world, f"/api/v1/runs/{second.run}")).json()
    assert shown["attempts"] == [], "nobody was asked to do it again"
    assert shown["reruns"] == [{"run": first.run, "attempt": 1, "state": "failed"}]


async def test_deliveries_say_what_became_of_each(world):
    story = await running_run(world)
    world.delivered("d-1", runs=[story.run])
    world.delivered("d-2", reason="no pipeline runs on push of refs/heads/side")
    text = (await check(world, "/deliveries")).text
    assert f'href="/runs/{story.run}"' in text
    assert "no pipeline runs on push" in text and "Ignored" in text


@pytest.mark.parametrize("path", ["/nothing", "/runs/1-nothere", "/runs/zzz", "/static/none.js"])
async def test_what_is_not_there_gets_a_page_that_leads_on(world, path):
    answer = await check(world, path)
    assert answer.status_code == 404
    assert "<html" in answer.text and 'href="/"' in answer.text


@pytest.mark.parametrize("path", [f"{prefix}nothing" for prefix in FOR_MACHINES])
async def test_machines_get_problems_not_pages(world, path):
    answer = await check(world, path)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_wrong_method_of_the_api_is_still_told_as_such(world):
    answer = await check(world, "/api/v1/whoami", data={})
    assert answer.status_code == 405
