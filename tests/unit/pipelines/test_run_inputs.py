"""What a pipeline asks of whoever starts or calls it, and what it gets."""

import pytest
from staunch.entered import WrongInput

from ci_host.engine.run_inputs import entered
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from pipelines.bundle import Bundle, InputTerms, PipelineEntry
from pipelines.commands import InputRule
from pipelines.run import RunState
from tests.tenants import FILE, Play, plan

TOP = """
on.manual(inputs={
    "percent": Input(int, default=25, min=1, max=100),
    "env": Choice("staging", "prod"),
    "why": Input(str, default=None),
})
"""


def entry_of(source: str) -> PipelineEntry:
    """What a pipeline file says of itself."""
    prepared = TenantHost(NativeImage()).prepare(Bundle(files={FILE: source}))
    return prepared.pipelines[0]


def check(given: dict[str, object] | None, top: str = TOP) -> object:
    """What these inputs come to, or what is said against them."""
    try:
        return entered(entry_of(plan("return event.inputs", top)), given)
    except WrongInput as wrong:
        return str(wrong)


def test_what_is_given_is_completed_with_the_defaults() -> None:
    assert check({"env": "prod"}) == {"percent": 25, "env": "prod", "why": None}
    assert check({"env": "staging", "percent": 100, "why": "x"}) == {
        "percent": 100,
        "env": "staging",
        "why": "x",
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"env": "mars"}, "input 'env' must be one of staging, prod, not 'mars'"),
        ({"env": "prod", "percent": 101}, "input 'percent' must be at most 100, not 101"),
        ({"env": "prod", "percent": "5"}, "input 'percent' must be of type int, not '5'"),
        (
            {},
            "the inputs of pipeline 'pipeline' are percent: int (1 to 100, default 25), env: str"
            " (one of staging, prod), why: str (optional); missing: env",
        ),
        ({"env": "prod", "colour": 1}, "(optional); unknown: colour"),
    ],
)
def test_what_does_not_fit_names_the_input_the_rule_and_what_is_allowed(
    given: dict[str, object], said: str
) -> None:
    assert said in str(check(given))


def test_where_nobody_could_be_asked_the_defaults_are_all_there_is() -> None:
    assert check(None) == {"percent": 25, "why": None}


def test_a_pipeline_that_asks_for_nothing_is_given_nothing() -> None:
    assert check({}, top="") is None
    assert check(None, top="on.manual()") is None
    assert "takes no inputs, so not env; its file declares them" in str(check({"env": 1}, top=""))
    assert "are none; unknown: env" in str(check({"env": 1}, top="on.manual(inputs={})"))


def test_a_declaration_that_a_plan_has_bent_refuses_and_breaks_nothing() -> None:
    rules = {"a": InputRule(pattern="(")}
    entry = PipelineEntry(name="x", file=FILE, asks=InputTerms(inputs={"a": "str"}, rules=rules))
    with pytest.raises(WrongInput, match="cannot be checked by what it declares"):
        entered(entry, {"a": "b"})


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ("on.manual(inputs={'a': dict})", "input 'a': an input must be str, int, float or bool"),
        ("on.manual(inputs={})\non.manual(inputs={})", "was said twice"),
        (
            "on.manual(inputs={'a': Input(int, default=0, min=1)})",
            "an input's default does not fit: input 'default' must be at least 1",
        ),
    ],
)
def test_a_wrong_declaration_is_an_error_of_its_file(top: str, said: str) -> None:
    error = entry_of(plan("return 1", top)).error
    assert error is not None
    assert said in error.message
    assert error.file == FILE


CHILD = {".staunch/child.py": plan("return event.inputs", TOP)}


def called(inputs: str) -> Play:
    """A Run that calls the pipeline which asks, after its first Turn."""
    source = plan(f"return await step.call('c', 'child', {inputs})")
    play = Play(TenantHost(NativeImage()), source, beside=CHILD)
    play.start()
    return play


def test_a_call_is_completed_by_what_the_called_pipeline_declares() -> None:
    [command] = called("{'env': 'prod'}").made[0][1].commands
    assert command.call is not None
    assert command.call.inputs == {"percent": 25, "env": "prod", "why": None}


def test_a_call_that_does_not_fit_raises_at_its_line_and_begins_nothing() -> None:
    play = called("{'env': 'mars'}")
    [(_, outcome)] = play.made
    assert outcome.commands == []
    assert outcome.end is not None and outcome.end.error is not None
    assert outcome.end.state is RunState.FAILED
    assert outcome.end.error.type == "WrongInput"
    assert "input 'env' must be one of staging, prod" in outcome.end.error.message
    assert outcome.end.error.line == 6


def test_a_call_replays_with_the_declaration_that_is_in_its_bundle() -> None:
    play = called("{'env': 'prod'}")
    assert [one.digest for one in play.replayed()] == [one.digest for _, one in play.made]
