"""What a gate asks for, typed by people: what fits arrives, and what does not is refused."""

import pytest

from pipelines.events import GIVEN_BYTES_MAX
from tests.e2e.answers import at_gate, refused, said

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]
TYPED = """
asked = {'percent': int, 'ratio': float, 'note': str, 'dry': bool}
answer = await step.gate('go-live', approvers=['@ops'], inputs=asked)
return [[name, type(x).__name__, x] for name, x in sorted(answer.inputs.items())]
"""
RIGHT = {"percent": 25, "ratio": 0.5, "note": "slowly", "dry": True}


def test_wrong_inputs_are_refused_by_name_and_right_ones_arrive_in_their_types(here, repo):
    run = at_gate(here, repo, TYPED)
    for wrong, words in (
        ({}, ("percent: int", "missing: dry, note, percent, ratio")),
        ({"percent": 25}, ("missing: dry, note, ratio",)),
        (RIGHT | {"colour": "red"}, ("unknown: colour",)),
        (RIGHT | {"percent": "25"}, ("'percent' must be of type int", "not '25'")),
        (RIGHT | {"percent": True}, ("'percent' must be of type int", "not True")),
        (RIGHT | {"percent": 2.5}, ("'percent' must be of type int", "not 2.5")),
        (RIGHT | {"ratio": None}, ("'ratio' must be of type float", "not None")),
        (RIGHT | {"dry": 1}, ("'dry' must be of type bool", "not 1")),
        (RIGHT | {"note": 1.1}, ("'note' must be of type str", "not 1.1", 'as a text: "1.1"')),
        (RIGHT | {"note": ["x"]}, ("'note' must be of type str",)),
    ):
        refused(here.answer(run, "go-live", inputs=wrong), 422, *words)
    typed = ["--input", "percent=25", "--input", "ratio=2", "--input", 'note="1.10"']
    told = said(here.staunch("approve", run, "go-live", *typed, code=1, who="grace"))
    assert told.endswith("missing: dry")
    told = said(here.staunch("approve", run, "go-live", "--input", "dry", code=2, who="grace"))
    assert "write NAME=VALUE" in told
    infinite = [*typed, "--input", "dry=false", "--input", "ratio=1e999"]
    told = said(here.staunch("approve", run, "go-live", *infinite, code=2, who="grace"))
    assert "cannot be sent as JSON" in told
    assert len(here.show(run)["inputs"]) == 1
    here.staunch("approve", run, "go-live", *typed, "--input", "dry=false", who="grace")
    assert here.ended(run)["output"] == [
        ["dry", "bool", False],
        ["note", "str", "1.10"],
        ["percent", "int", 25],
        ["ratio", "float", 2.0],
    ]


def test_an_input_with_rules_is_shown_with_them_and_refused_by_them(here, repo):
    body = """
asked = {
    'percent': Input(int, default=25, min=1, max=100, help='How much of the traffic?'),
    'env': ['eu', 'us'],
}
return (await step.gate('go-live', approvers=['@ops'], inputs=asked)).inputs
"""
    run = at_gate(here, repo, body)
    shown = said(here.staunch("show", run))
    assert "--input percent: int (1 to 100, default 25) · How much of the traffic?" in shown
    assert "--input env: str (one of eu, us)" in shown
    for typed, words in (
        (["percent=250"], "missing: env"),
        (["env=eu", "percent=250"], "input 'percent' must be at most 100, not 250"),
        (["env=mars"], "input 'env' must be one of eu, us, not 'mars'"),
    ):
        options = [part for one in typed for part in ("--input", one)]
        told = said(here.staunch("approve", run, "go-live", *options, code=1, who="grace"))
        assert told.endswith(words)
    assert len(here.show(run)["inputs"]) == 1
    here.staunch("approve", run, "go-live", "--input", "env=us", who="grace")
    assert here.ended(run)["output"] == {"percent": 25, "env": "us"}


def test_an_answer_that_could_not_be_kept_as_it_is_is_refused(here, repo):
    run = at_gate(here, repo, "await step.gate('go-live', inputs={'note': str})")
    long = "x" * GIVEN_BYTES_MAX
    refused(here.answer(run, "go-live", inputs={"note": long}), 413, "the limit is 1,048,576")
    refused(here.answer(run, "go-live", approved=False, comment=long), 413, "the answer has")
    refused(here.call("POST", f"/runs/{run}/cancel", {"reason": long}), 413, "the reason has")
    assert here.answer(run, "go-live", inputs={"note": "\0 \N{SNOWMAN}"}).status == 200
    assert here.ended(run)["state"] == "succeeded"
