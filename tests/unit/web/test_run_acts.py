"""What can be done to a run from its page: retry, cancel, pause, resume, kill, again, export."""

import pytest

from pipelines.bundle import Bundle
from pipelines.commands import Open, OpenJob, OpenPause, Result, StepKind, StepState
from pipelines.events import CancelRequested, KillRequested, PauseRequested, ResumeRequested
from pipelines.export import decode_export
from pipelines.run import RunState
from pipelines.turn import End, Paused
from tests.web.told_runs import running_run, waiting_run
from tests.web.visitor import OURS, check, client_of, newest_input
from tests.web.world import NOW, Story, job

pytestmark = pytest.mark.anyio


async def test_a_step_that_waits_for_its_next_attempt_can_be_retried_now_on_the_page(world):
    story = await Story(world, 1).begin()
    await story.turn(job("unit"), wanted=Open(jobs=[OpenJob(key="unit", attempt=1)]))
    lost = Result(kind=StepKind.JOB, key="unit", state=StepState.RETRYING)
    pause = OpenPause(key="unit", attempt=2, due=NOW + 3600)
    await story.turn(results=[lost], wanted=Open(pauses=[pause]), wake_at=pause.due)
    text = (await check(world, f"/runs/{story.run}")).text
    assert "a retry of unit" in text and "Retry now" in text
    answer = await check(world, f"/runs/{story.run}/retry", data={"key": "unit"})
    assert answer.status_code == 303
    given = await newest_input(world, story)
    assert (given.key, given.attempt, given.by) == ("unit", 2, "ada")
    answer = await check(world, f"/runs/{story.run}/retry", data={"key": "unit"})
    assert answer.status_code == 409 and "is wanted already, by ada" in answer.text


async def test_a_cancel_on_the_page_asks_the_run_to_end(world):
    story = await running_run(world)
    answer = await check(world, f"/runs/{story.run}/cancel", data={"reason": "enough"})
    assert answer.status_code == 303
    given = await newest_input(world, story)
    assert isinstance(given, CancelRequested) and given.reason == "enough"


async def test_a_double_click_on_cancel_is_one_cancel_and_a_later_click_another(world):
    story = await running_run(world)
    for seconds, count in [(0, 1), (4, 1), (2, 2)]:
        story.later(seconds)
        await check(world, f"/runs/{story.run}/cancel", data={"reason": ""})
        inputs = await world.history.inputs_after(story.run, 0)
        assert sum(isinstance(one.input, CancelRequested) for one in inputs) == count


async def test_a_paused_run_says_who_holds_it_and_can_be_resumed(world):
    story = await waiting_run(world)
    assert f'action="/runs/{story.run}/pause"' in (await check(world, f"/runs/{story.run}")).text
    await check(world, f"/runs/{story.run}/pause", data={"reason": "lunch"})
    given = await newest_input(world, story)
    assert isinstance(given, PauseRequested) and (given.by, given.reason) == ("ada", "lunch")
    await story.turn(paused=Paused(by="ada", since=NOW, reason="lunch"))
    text = (await check(world, f"/runs/{story.run}")).text
    assert "paused by ada since 2027-01-15 08:00 UTC: lunch" in text
    assert f'action="/runs/{story.run}/pause"' not in text
    listed = (await check(world, "/?state=paused")).text
    assert "Paused" in listed and "paused by ada since" in listed
    await check(world, f"/runs/{story.run}/resume", data={})
    assert isinstance(await newest_input(world, story), ResumeRequested)


async def test_a_run_that_does_not_end_when_it_is_cancelled_can_be_killed(world):
    story = await waiting_run(world)
    kill = f'action="/runs/{story.run}/kill"'
    assert kill not in (await check(world, f"/runs/{story.run}")).text
    await story.happens(CancelRequested(id="c", by="ada"))
    assert kill in (await check(world, f"/runs/{story.run}")).text
    await check(world, f"/runs/{story.run}/kill", data={})
    assert isinstance(await newest_input(world, story), KillRequested)


async def test_the_api_pauses_resumes_and_kills_and_refuses_what_changes_nothing(world):
    story = await waiting_run(world)
    path = f"/api/v1/runs/{story.run}"
    async with client_of(world) as client:

        async def told(act):
            answer = await client.post(f"{path}/{act}", headers=OURS, json={"reason": ""})
            return answer.status_code, answer.json().get("detail", "")

        assert await told("resume") == (409, f"run {story.run} is not paused")
        assert await told("pause") == (202, "")
        assert await told("pause") == (409, f"run {story.run} is paused already, by ada")
        assert await told("resume") == (202, "")
        assert await told("kill") == (202, "")


@pytest.mark.parametrize(("data", "kept"), [({}, []), ({"failed_only": "yes"}, ["unit"])])
async def test_a_run_that_is_over_is_run_again_as_its_next_attempt(world, data, kept):
    story = await waiting_run(world)
    story.later()
    await story.turn(end=End(state=RunState.CANCELLED))
    answer = await check(world, f"/runs/{story.run}/again", data=data)
    assert answer.status_code == 303
    again = answer.headers["location"].removeprefix("/runs/")
    started = await world.history.started(again)
    assert (started.rerun.of, started.rerun.attempt, started.rerun.by) == (story.run, 2, "ada")
    assert [one.key for one in started.recalled] == kept


async def test_a_run_is_exported_through_the_api(world):
    bundle = Bundle(files={".staunch/pipeline.py": "async def run(event, step): ...\n"})
    story = await Story(world).begin(bundle=await world.bundles.put(bundle))
    await story.turn(job("unit"))
    answer = await check(world, f"/api/v1/runs/{story.run}/export")
    export = decode_export(answer.content)
    assert (export.started.run, len(export.turns), export.bundle) == (story.run, 1, bundle)
    gone = await waiting_run(world, 2)
    assert (await check(world, f"/api/v1/runs/{gone.run}/export")).status_code == 409
