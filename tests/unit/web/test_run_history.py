"""The history of a run: every Turn in its order, some at a time, and one of them in full."""

import re

import pytest

from ci_host.adapters.nats import subjects
from ci_host.adapters.sql import fold
from ci_host.adapters.sql.queries import run_detail
from ci_host.adapters.sql.turn_parts import PARTS_MAX, turn_parts
from ci_host.web.run_history import TURNS_SHOWN, history_page, steps_then, window
from pipelines.bundle import Bundle
from pipelines.export import Export, ExportedInput, ExportedTurn, encode_export
from pipelines.run import RunState
from pipelines.turn import End, Turn
from tests.web import shapes
from tests.web.told_runs import failed_run
from tests.web.visitor import check
from tests.web.world import DECIDING_S, Story, World, job

pytestmark = pytest.mark.anyio


def page_of(world: World, story: Story, turn: int = 0):
    detail = run_detail(world.model, story.run)
    _, first, last = window(len(detail.turns), turn)
    return history_page(detail, turn_parts(world.model, story.run, first, last), turn)


async def test_a_turn_says_why_it_began_what_it_asked_for_and_what_was_over_with_it(world):
    story = await shapes.release(world, 1, breaks=True)
    last = page_of(world, story).card
    assert [one.summary for one in last.inputs] == ["us/deploy #1 failed"]
    assert [(one.key, one.state, one.said) for one in last.settled] == [
        ("us/deploy", "failed", "job 'us/deploy' failed with exit code 1")
    ]
    assert (last.line.is_bad, last.line.why) == (True, ("job us/deploy #1 failed",))
    first = page_of(world, story, 1).card
    assert first.line.why == ("the run began: push refs/heads/main 0123456789",)
    assert [one.key for one in first.asked][:3] == ["plan", "lint", "test/python=3.11,os=debian"]
    assert (first.line.asked[0], first.line.more_asked) == ("plan", 7)
    assert first.line.took_s == pytest.approx(DECIDING_S, abs=1e-4)


async def test_a_restart_stands_before_the_turn_that_another_engine_loaded_by_replay(world):
    story = await shapes.release(world, 1)
    lines = page_of(world, story).lines
    (marked,) = [one for one in lines if one.marks]
    assert marked.is_elsewhere and marked.row.by == "engine-2"
    assert marked.why == ("a timer was due",)
    assert marked.marks[0].label.startswith("host and engine restarted")
    assert [one.row.number for one in lines if one.is_elsewhere] == [marked.row.number]


async def test_the_steps_are_as_they_stood_after_the_turn_and_not_as_they_are_now(world):
    story = await shapes.release(world, 1, breaks=True)
    detail = run_detail(world.model, story.run)

    def then(number):
        return steps_then(detail.steps, detail.attempts, detail.turns[number - 1])

    assert then(1).counts == {"succeeded": 1, "queued": 9}
    lost = next(
        one.row.number for one in page_of(world, story).lines if one.why[0].endswith("lost")
    )
    assert [(step.key, state) for step, state in then(lost).going] == [
        ("test/python=3.12,os=alpine", "retrying")
    ]
    assert [state for _, state in then(lost + 3).going] == ["waiting"]
    assert then(len(detail.turns)).counts == {"succeeded": 13, "failed": 1, "cancelled": 1}


async def test_turns_at_one_moment_are_told_apart(world):
    story = await Story(world, 4).begin()
    await story.turn(job("a"))
    await story.finish("a")
    await story.turn(job("b"), results=[shapes.ended("a")])
    detail = run_detail(world.model, story.run)
    assert detail.turns[0].at == detail.turns[1].at
    counts = [steps_then(detail.steps, detail.attempts, one).counts for one in detail.turns]
    assert [one.get("succeeded", 0) for one in counts] == [0, 1]


@pytest.mark.parametrize(
    ("count", "turn", "found"),
    [
        (3, 0, (3, 1, 3)),
        (3, 99, (3, 1, 3)),
        (TURNS_SHOWN + 1, 0, (51, 2, 51)),
        (120, 7, (7, 1, 50)),
        (120, 51, (51, 51, 100)),
        (120, 101, (101, 71, 120)),
    ],
)
def test_a_page_has_the_turn_that_is_asked_for_and_no_more_than_it_may(count, turn, found):
    assert window(count, turn) == found


async def test_ten_thousand_events_are_a_page_of_bounded_size(world):
    story = await Story(world, 5).begin()
    keys = [f"k{number}" for number in range(3 * PARTS_MAX)]
    await story.turn(*(job(key) for key in keys))
    with world.model.engine.begin() as connection:
        rows = [
            {"r": story.run, "n": number, "a": world.clock(), "s": 10 + number}
            for number in range(2, 10_001)
        ]
        connection.exec_driver_sql(
            "INSERT INTO turns (run, number, at, by, sequence, inputs, commands, results, printed,"
            " state, parts_json) VALUES (:r, :n, :a, 'e', :s, 1, 1, 1, '', 'running', '{}')", rows
        )  # fmt: skip
    for turn in ("", "&turn=1", "&turn=5000"):
        answer = await check(world, f"/runs/{story.run}/fragment?tab=history{turn}&part=tab")
        assert answer.text.count('class="turn-nr') == TURNS_SHOWN
        assert len(answer.text) < 300_000
        assert "10,000 turns" in answer.text
    first = await check(world, f"/runs/{story.run}/fragment?tab=history&turn=1&part=tab")
    assert f"{2 * PARTS_MAX} more; the JSON has them." in first.text


async def test_links_lead_to_the_turns_before_and_behind_and_keep_the_log(world):
    story = await failed_run(world)
    text = (await check(world, f"/runs/{story.run}?job=unit&tab=history&turn=1")).text
    assert 'href="?job=unit&amp;tab=history&amp;turn=2" data-swap="tab" data-key="]"' in text
    assert 'data-key="["' not in text
    assert f'href="/api/v1/runs/{story.run}/history" download' in text
    text = (await check(world, f"/runs/{story.run}?tab=history&turn=77")).text
    assert 'Turn 2 <span class="dim">of 2</span>' in text and 'data-key="["' in text


async def test_a_run_that_has_decided_nothing_yet_says_so(world):
    story = await Story(world, 9).begin()
    assert "decided nothing yet" in (await check(world, f"/runs/{story.run}?tab=history")).text
    assert (await check(world, f"/runs/{story.run}?tab=history&turn=-1")).status_code == 422


async def test_what_a_pipeline_printed_stays_text(world):
    story = await failed_run(world)
    world.fold(
        story.run,
        lambda rows: fold.fold_turn(rows, story.run, 999, last_turn(world, "<script>x")),
    )
    text = (await check(world, f"/runs/{story.run}?tab=history")).text
    assert "&lt;script&gt;x" in text and not re.search(r"<script>x", text)


def last_turn(world, printed):
    return Turn(
        number=3, consumed=[], through=9, by="e", now=world.clock(), digest="d",
        state=RunState.FAILED, printed=printed, end=End(state=RunState.FAILED),
    )  # fmt: skip


async def test_the_history_of_an_imported_run_is_shown_and_downloaded(world, tmp_path):
    bundle = Bundle(files={".staunch/pipeline.py": "async def run(event, step): ..."})
    story = await Story(world).begin(bundle=bundle.digest())
    await story.turn(job("unit"))
    stored = await world.history.read(story.run)
    inputs = [ExportedInput(one.sequence, one.at, one.input) for one in stored.inputs]
    turns = [ExportedTurn(one.sequence, one.turn) for one in stored.turns]
    export = Export(bundle, inputs, turns)
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    other.bus.put(subjects.imported(story.run), encode_export(export))
    other.fold(story.run, lambda rows: fold.fold_import(rows, export))
    text = (await check(other, f"/runs/{story.run}?tab=history")).text
    assert "the run began: push" in text and "not known" in text
    told = (await check(other, f"/api/v1/runs/{story.run}/history")).json()
    assert told == (await check(world, f"/api/v1/runs/{story.run}/history")).json()
    other.model.close()
