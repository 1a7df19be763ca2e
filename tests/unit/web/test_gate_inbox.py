"""The inbox: which gates wait for whom, and that they are answered from there."""

import pytest
from sqlalchemy import event

from ci_host.adapters.sql.counts import counts
from ci_host.adapters.sql.open_gates import open_gates
from pipelines.commands import GateTerms
from pipelines.events import GateAnswered
from pipelines.run import RunState
from pipelines.turn import End
from tests.web.told_runs import TERMS, failed_run, gate_open, waiting_run
from tests.web.visitor import check, newest_input

pytestmark = pytest.mark.anyio


async def counted(world, who: str) -> int:
    return (await check(world, "/inbox/count", who=who)).json()["count"]


async def test_a_gate_waits_for_its_approvers_and_for_nobody_else(world):
    await failed_run(world, 2)
    story = await waiting_run(world, 1)
    text = (await check(world, "/inbox", who="grace")).text
    assert "May it go out?" in text and 'name="input.percent"' in text
    assert f'action="/runs/{story.run}/gates"' in text and "caused by" in text
    assert (await counted(world, "grace"), await counted(world, "ada")) == (1, 0)
    text = (await check(world, "/inbox", who="ada")).text
    assert "Nothing waits for you" in text and "Waiting for others" in text
    assert "<form" not in text.partition("<main")[2]


async def test_a_gate_that_whoever_looks_caused_or_answered_is_not_theirs(world):
    barred = GateTerms(approvers=["@ops"], barred=["grace"])
    await waiting_run(world, 1, terms=barred)
    two = GateTerms(approvers=["@ops"], needed=2)
    story = await waiting_run(world, 2, terms=two)
    assert await counted(world, "grace") == 1
    await story.turn(wanted=gate_open("approve", two, approved_by=["grace"]))
    assert await counted(world, "grace") == 0
    assert "you have answered" in (await check(world, "/inbox", who="grace")).text


async def test_an_answer_leads_back_to_the_inbox_and_nowhere_else(world):
    story = await waiting_run(world, 1, terms=GateTerms(approvers=["@ops"]))
    form = {"key": "approve", "decision": "approve", "next": "/inbox"}
    answer = await check(world, f"/runs/{story.run}/gates", who="grace", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/inbox")
    assert isinstance(await newest_input(world, story), GateAnswered)
    # What reads the history is not that far yet; whoever answered is not asked again.
    text = (await check(world, f"/inbox?answered={story.run}&gate=approve", who="grace")).text
    assert "was taken" in text and "<form" not in text.partition("<main")[2]
    assert "was taken" not in (await check(world, "/inbox?answered=../x&gate=y", who="grace")).text
    story = await waiting_run(world, 2, terms=GateTerms(approvers=["@ops"]))
    form["next"] = "//evil.test"
    answer = await check(world, f"/runs/{story.run}/gates", who="grace", data=form)
    assert answer.headers["location"] == "/"


async def test_programs_see_the_same(world):
    story = await waiting_run(world, 1)
    (gate,) = (await check(world, "/api/v1/gates", who="ada")).json()["gates"]
    assert (gate["run"], gate["key"], gate["may_answer"]) == (story.run, "approve", False)
    assert gate["terms"]["inputs"] == dict(TERMS.inputs)
    assert (await check(world, "/api/v1/gates?mine=true", who="ada")).json()["gates"] == []
    (gate,) = (await check(world, "/api/v1/gates?mine=true", who="grace")).json()["gates"]
    assert gate["may_answer"]


async def test_the_oldest_is_first_and_one_of_a_run_that_is_over_is_gone(world):
    first = await waiting_run(world, 5)
    second = await waiting_run(world, 4)
    over = await waiting_run(world, 3)
    await over.turn(end=End(state=RunState.CANCELLED))
    assert await counted(world, "grace") == 2
    text = (await check(world, "/inbox", who="grace")).text
    assert text.index(first.run) < text.index(second.run)


async def test_what_a_stranger_wrote_stays_text(world):
    await waiting_run(world, 1, message="<script>x</script>", sender="<b>")
    text = (await check(world, "/inbox", who="grace")).text
    assert "<script>x" not in text and "&lt;b&gt;" in text


@pytest.mark.parametrize("ask", [open_gates, counts], ids=["inbox", "metrics"])
async def test_the_gates_that_wait_are_found_without_a_look_at_every_run(world, ask):
    asked = []

    def note(_connection, _cursor, statement, given, *_more):
        asked.append((statement, given))

    event.listen(world.model.engine, "before_cursor_execute", note)
    ask(world.model)
    statement, given = next(one for one in asked if "steps" in one[0])
    with world.model.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given).all()
    assert "USING" in plan[0][3] and "INDEX open_gates" in plan[0][3], plan
