"""The page of runners: who is alive and busy with what, what waits and why."""

import msgspec
import pytest
from sqlalchemy import event

from ci_host.adapters.sql.open_attempts import open_attempts
from pipelines.commands import Open, OpenJob
from pipelines.run import RunState
from pipelines.turn import End
from runners.ports import Heartbeat
from tests.web.told_runs import failed_run, running_run
from tests.web.visitor import check, client_of
from tests.web.world import Story, job

pytestmark = pytest.mark.anyio


def beat(world, runner: str = "runner-a", slots: int = 2) -> None:
    sign = Heartbeat(runner=runner, pools=["default"], at=0, slots=slots, version="1.2")
    world.bus.put("runner.*", msgspec.json.encode(sign))


async def queued_run(world, number: int, key: str = "build") -> Story:
    story = await Story(world, number).begin(message=f"Change {number}")
    return await story.turn(job(key), wanted=Open(jobs=[OpenJob(key=key, attempt=1)]))


async def test_a_runner_says_what_it_is_busy_with_and_a_job_for_how_long_it_waits(world):
    beat(world)
    story = await running_run(world, 1)
    waits = await queued_run(world, 2)
    world.history.now += 5
    text = (await check(world, "/runners")).text
    assert "runner-a" in text and "busy" in text and "2 slots" in text
    assert f'<a href="/runs/{story.run}?job=eu/unit#log"><code>eu/unit</code>' in text
    assert f'<a href="/runs/{waits.run}?job=build#log"><code>build</code>' in text
    assert ">5.0s<" in text and "it was asked for a moment ago" in text


async def test_without_a_runner_it_is_said_what_to_start(world):
    await queued_run(world, 1)
    text = (await check(world, "/runners")).text
    assert "no runner is alive; start one" in text and "No runner is alive." in text


async def test_programs_see_the_same_jobs(world):
    await running_run(world, 1)
    await queued_run(world, 2)
    found = (await check(world, "/api/v1/queue/jobs")).json()["jobs"]
    assert [(one["key"], one["phase"], one["runner"]) for one in found] == [
        ("eu/unit", "running", "runner-a"), ("build", "queued", "")
    ]  # fmt: skip
    assert found[1]["why"].startswith("no runner is alive") and found[1]["pool"] == "default"


async def test_what_is_over_and_what_a_run_that_is_over_had_asked_for_is_gone(world):
    await failed_run(world, 1)
    story = await queued_run(world, 2)
    await story.turn(end=End(state=RunState.CANCELLED))
    assert (await check(world, "/api/v1/queue/jobs")).json() == {"jobs": []}
    text = (await check(world, "/runners")).text
    assert "No job waits for a runner." in text


async def test_an_administrator_drains_a_registered_runner_and_has_it_work_again(world):
    async with client_of(world) as client:
        headers = {"sec-fetch-site": "same-origin"}
        made = await client.post("/api/v1/runners/invitations", json={}, headers=headers)
    runner = made.json()["runner"]
    text = (await check(world, "/runners")).text
    assert runner in text and "invited" in text
    store = world.services.registrations._store
    kept = next(one for one in await store.all() if one.registration.id == runner)
    joined = msgspec.structs.replace(kept.registration, key="U" * 56, joined_at=1.0)
    await store.write(joined, after=kept.revision)
    beat(world, runner)
    for act, shown in (("drain", "draining"), ("resume", "idle")):
        refused = await check(
            world, "/runners/drain", who="grace", data={"runner": runner, "act": act}
        )
        assert refused.status_code == 403
        done = await check(world, "/runners/drain", data={"runner": runner, "act": act})
        assert (done.status_code, done.headers["location"]) == (303, "/runners")
        assert shown in (await check(world, "/runners")).text
    assert "<button name" not in (await check(world, "/runners", who="grace")).text


async def test_a_runner_that_was_silent_for_long_is_said_to_be(world):
    beat(world)
    world.history.now += 30
    assert "silent" in (await check(world, "/runners")).text


async def test_open_jobs_are_found_without_a_look_at_every_run(world):
    asked = []

    def note(_connection, _cursor, statement, given, *_more):
        asked.append((statement, given))

    event.listen(world.model.engine, "before_cursor_execute", note)
    open_attempts(world.model)
    [(statement, given)] = [one for one in asked if "attempts" in one[0]]
    with world.model.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given).all()
    assert "INDEX open_attempts" in plan[0][3], plan
