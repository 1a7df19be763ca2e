"""The form at a gate: what it asks, what it sends, and how a wrong answer is told."""

import re

import pytest

from pipelines.commands import GateTerms, InputRule
from pipelines.events import GateAnswered
from tests.web.told_runs import waiting_run
from tests.web.visitor import GIVEN, check, newest_input

pytestmark = pytest.mark.anyio


async def test_an_approver_gets_a_typed_form_and_others_are_told_whom_to_ask(world):
    story = await waiting_run(world)
    text = (await check(world, f"/runs/{story.run}", who="grace")).text
    assert re.search(r'name="input.percent" type="number" step="1" required', text)
    assert re.search(r'name="input.share" type="number" step="any" required', text)
    assert re.search(r'name="input.note" type="text"', text)
    assert re.search(r'type="checkbox" name="input.sure"', text)
    text = (await check(world, f"/runs/{story.run}", who="ada")).text
    assert "ask one of @ops" in text and 'value="approve"' not in text


RULED = GateTerms(
    inputs={"percent": "int", "env": "str", "tag": "str", "dry": "bool", "ratio": "float"},
    rules={
        "percent": InputRule(required=False, default=25, min=1, max=100, help="How <much>?"),
        "env": InputRule(choices=["eu", "us"]),
        "tag": InputRule(required=False, pattern=r"v\d+", max_length=9),
        "dry": InputRule(required=False, default=True),
        "ratio": InputRule(required=False, default=0.5, min=0.25, choices=[]),
    },
)


async def test_the_form_shows_choices_defaults_limits_and_help(world):
    story = await waiting_run(world, terms=RULED)
    text = (await check(world, f"/runs/{story.run}", who="grace")).text
    percent = re.search(r'<input [^>]*name="input.percent"[^>]*>', text)[0]
    assert 'type="number" step="1" value="25" min="1" max="100"' in percent
    assert "How &lt;much&gt;?" in text
    env = re.search(r'<select [^>]*name="input.env" required>.*?</select>', text, re.S)[0]
    assert re.findall(r'value="(\w*)"', env) == ["", "eu", "us"] and "selected" not in env
    tag = re.search(r'<input [^>]*name="input.tag"[^>]*>', text)[0]
    assert 'maxlength="9" pattern="v\\d+"' in tag and "required" not in tag
    assert re.search(r'name="input.dry" value="true" checked', text)
    assert re.search(r'name="input.ratio" type="number" step="any" value="0.5" min="0.25"', text)


@pytest.mark.parametrize(
    ("form", "inputs"),
    [
        ({}, {"percent": 25, "env": "us", "tag": None, "dry": False, "ratio": 0.5}),
        (
            {"input.percent": "7", "input.tag": "v2", "input.dry": "true", "input.ratio": ""},
            {"percent": 7, "env": "us", "tag": "v2", "dry": True, "ratio": 0.5},
        ),
        ({"input.percent": "", "input.tag": ""}, {"percent": 25, "tag": None}),
    ],
)
async def test_what_a_form_leaves_out_is_its_default(world, form, inputs):
    story = await waiting_run(world, terms=RULED)
    data = {"key": "approve", "decision": "approve", "input.env": "us", **form}
    await check(world, f"/runs/{story.run}/gates", who="grace", data=data)
    given = await newest_input(world, story)
    assert given.inputs.items() >= inputs.items()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"input.percent": "101"}, "input 'percent' must be at most 100, not 101"),
        ({"input.env": "mars"}, "input 'env' must be one of eu, us, not 'mars'"),
        ({"input.env": ""}, "input 'env' must be one of eu, us, not ''"),
        ({"input.tag": "2"}, r"input 'tag' must have the form v\d+, not '2'"),
    ],
)
async def test_a_form_that_breaks_a_rule_gets_a_page_that_names_it(world, form, said):
    story = await waiting_run(world, terms=RULED)
    data = {"key": "approve", "decision": "approve", "input.env": "us", **form}
    answer = await check(world, f"/runs/{story.run}/gates", who="grace", data=data)
    assert answer.status_code == 422
    assert said.removeprefix("input ") in answer.text.replace("&#39;", "'")


async def test_an_approval_on_the_page_opens_the_gate_with_typed_inputs(world):
    story = await waiting_run(world)
    answer = await check(world, f"/runs/{story.run}/gates", who="grace", data=GIVEN)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{story.run}")
    given = await newest_input(world, story)
    assert isinstance(given, GateAnswered)
    assert (given.approved, given.by, given.comment) == (True, "grace", "go")
    assert given.inputs == {"percent": 25, "share": 0.5, "note": "", "sure": False}


async def test_a_rejection_needs_no_inputs(world):
    story = await waiting_run(world)
    form = {"key": "approve", "decision": "reject", "input.percent": "", "comment": "not today"}
    await check(world, f"/runs/{story.run}/gates", who="grace", data=form)
    given = await newest_input(world, story)
    assert (given.approved, given.inputs, given.comment) == (False, {}, "not today")


@pytest.mark.parametrize(
    ("who", "changes", "status", "said"),
    [
        ("ada", {}, 403, "its approvers are @ops"),
        ("grace", {"input.percent": "many"}, 422, "must be of type int"),
        ("grace", {"key": "other"}, 409, "is not waiting"),
        ("grace", {"decision": ""}, 422, "two buttons"),
    ],
)
async def test_an_answer_that_is_not_accepted_gets_a_page_with_the_reason(
    world, who, changes, status, said
):
    story = await waiting_run(world)
    answer = await check(world, f"/runs/{story.run}/gates", who=who, data={**GIVEN, **changes})
    assert answer.status_code == status
    assert said in answer.text.replace("&#39;", "'") and "<html" in answer.text
    assert not isinstance(await newest_input(world, story), GateAnswered)
