"""Inputs of a gate: what may be asked for, and which answers are that."""

import random
import re

import msgspec
import pytest
from staunch import Choice, Input
from staunch.entered import WrongInput, complete, words
from staunch.gates import Wish
from staunch.inputs import INPUTS_MAX, wire
from staunch.patterns import PATTERN_CHARS_MAX, STATES_MAX, Pattern

from pipelines.commands import GateTerms, InputRule
from tests.tenants import approved

ASKED = {
    "percent": Input(int, default=25, min=1, max=100, help="How much of the traffic?"),
    "env": Choice("eu", "us"),
    "tag": Input(str, pattern=r"v\d+(\.\d+)*", max_length=10, default=None),
    "ratio": Input(float, min=0, default=0.5),
    "sure": bool,
}
RIGHT = {"env": "eu", "sure": True}


def check(**entered):
    """The values that this answer comes to, or what is said against it."""
    try:
        return complete(*wire(ASKED), RIGHT | entered)
    except WrongInput as wrong:
        return str(wrong)


def test_what_is_not_entered_is_its_default():
    assert check() == {"percent": 25, "env": "eu", "tag": None, "ratio": 0.5, "sure": True}


@pytest.mark.parametrize(
    "entered",
    [{"percent": 1}, {"percent": 100}, {"env": "us"}, {"tag": "v1.2.3"}, {"tag": None}],
)
def test_what_fits_its_rule_is_taken_as_it_is(entered):
    assert check(**entered) == check() | entered


def test_a_whole_number_becomes_a_float_where_one_is_asked_for():
    assert type(check(ratio=2)["ratio"]) is float


@pytest.mark.parametrize(
    ("entered", "said"),
    [
        ({"percent": 0}, "input 'percent' must be at least 1, not 0"),
        ({"percent": 101}, "input 'percent' must be at most 100, not 101"),
        ({"percent": None}, "input 'percent' must be of type int, not None"),
        ({"percent": True}, "input 'percent' must be of type int, not True"),
        ({"env": "mars"}, "input 'env' must be one of eu, us, not 'mars'"),
        ({"env": ["eu"]}, "input 'env' must be of type str"),
        ({"tag": "1"}, r"input 'tag' must have the form v\d+(\.\d+)*, not '1'"),
        ({"tag": "v1234567890"}, "input 'tag' may have 10 characters, not 11"),
        ({"tag": 1.1}, "input 'tag' must be of type str, not 1.1; as a text: \"1.1\""),
        ({"ratio": 10**400}, "input 'ratio' must be of type float"),
        ({"ratio": float("nan")}, "input 'ratio' must be of type float"),
        ({"ratio": -0.1}, "input 'ratio' must be at least 0"),
        ({"colour": "red"}, "unknown: colour"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_rule(entered, said):
    assert said in check(**entered)


def test_what_is_missing_is_named_beside_everything_that_is_asked_for():
    with pytest.raises(WrongInput) as wrong:
        complete(*wire(ASKED), {})
    assert str(wrong.value) == (
        "the gate's inputs are percent: int (1 to 100, default 25), env: str (one of eu, us),"
        r" tag: str (up to 10 characters, of the form v\d+(\.\d+)*, optional),"
        " ratio: float (at least 0, default 0.5), sure: bool; missing: env, sure"
    )


def test_a_bound_is_said_alike_before_and_after_it_was_on_the_wire():
    types, rules = wire({"many": Input(int, min=1, max=1_000_000)})
    through = msgspec.to_builtins(msgspec.convert(rules["many"], InputRule))
    said = words("many", types["many"], rules["many"])
    assert said == words("many", types["many"], through) == "many: int (1 to 1000000)"


def test_terms_have_every_field_of_the_wire_but_when_they_are_due():
    assert set(Wish().terms([])) | {"due"} == set(GateTerms.__struct_fields__)


def test_a_rule_has_every_field_of_the_wire_and_no_other():
    assert set(Input(int).rule()) == set(InputRule.__struct_fields__)


def test_a_list_is_a_choice_and_a_plain_type_has_no_rule():
    types, rules = wire({"env": ["eu", "us"], "n": int, "m": "float"})
    assert types == {"env": "str", "n": "int", "m": "float"}
    assert list(rules) == ["env"]
    assert rules["env"] == Choice("eu", "us").rule()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("{'x': list}", "input 'x': an input must be str, int, float or bool"),
        ("{'x': []}", "Choice needs the values to choose from"),
        ("{'x': ['eu', 1]}", "choices must be texts or numbers of one type; 1 is not str"),
        ("{'x': [True, False]}", "choices must be texts or numbers of one type"),
        ("{'x': ['eu', 'eu']}", "choices must differ"),
        ("{'x': Choice('eu', default='us')}", "default does not fit: input 'default' must be one"),
        ("{'x': Input(int, default=0, min=1)}", "default does not fit"),
        ("{'x': Input(int, min=2, max=1)}", "no number is between them"),
        ("{'x': Input(int, min='1')}", "min and max must be numbers, not '1'"),
        ("{'x': Input(int, min=10**400)}", "min and max must be within"),
        ("{'x': Input(str, min=1)}", "min and max are for numbers"),
        ("{'x': Input(int, max_length=3)}", "max_length are for texts"),
        ("{'x': Input(str, max_length=0)}", "max_length must be 1 to 10000"),
        ("{'x': Input(str, pattern='a', max_length=1001)}", "max_length must be 1 to 1000"),
        ("{'x': Input(str, pattern='(a')}", "pattern '(a' cannot be used: a ( is never closed"),
        ("{'x': Input(int, help=3)}", "help must be a text"),
        ("{7: int}", "an input's name must be a text, not 7"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_where_it_is_written(play, asked, said):
    error = play(f"await step.gate('g', inputs={asked})").start().end.error
    assert said in error.message
    assert error.file == ".staunch/pipeline.py"


def test_a_gate_may_ask_for_so_many_inputs_and_not_one_more():
    assert len(wire({f"n{number}": int for number in range(INPUTS_MAX)})[0]) == INPUTS_MAX
    with pytest.raises(ValueError, match=f"{INPUTS_MAX} inputs, not {INPUTS_MAX + 1}"):
        wire({f"n{number}": int for number in range(INPUTS_MAX + 1)})


def test_the_plan_gets_every_value_and_an_answer_that_does_not_fit_does_not_count(play):
    run = play(
        """
        asked = {'percent': Input(int, default=25, max=50), 'env': ['eu', 'us']}
        return (await step.gate('g', inputs=asked)).inputs
        """
    )
    terms = run.start().open.gates[0].terms
    assert terms.inputs == {"percent": "int", "env": "str"}
    assert (terms.rules["percent"].default, terms.rules["env"].choices) == (25, ["eu", "us"])
    assert run.turn(approved("g", "ann", percent=51, env="eu")).open.gates[0].approved_by == []
    assert run.turn(approved("g", "ann", env="mars")).open.gates[0].approved_by == []
    assert run.turn(approved("g", "ann", env="us")).end.output == {"percent": 25, "env": "us"}


def test_other_rules_are_another_fingerprint(play):
    body = "await step.gate('g', inputs={{'percent': Input(int, max={})}})"
    prints = [play(body.format(most)).start().commands[0].fingerprint for most in (50, 50, 60)]
    assert prints[0] == prints[1] != prints[2]


# Patterns.


def written(dice, depth):
    """A random pattern."""
    kind = dice.random()
    if depth == 0 or kind < 0.3:
        return dice.choice(["a", "b", "[ab]", "[^a]", ".", r"\d", r"\.", "[a-b1]", r"[\d.]"])
    if kind < 0.5:
        return written(dice, depth - 1) + written(dice, depth - 1)
    if kind < 0.7:
        return f"({written(dice, depth - 1)}|{written(dice, depth - 1)})"
    times = dice.choice(["*", "+", "?", "{2}", "{1,}", "{0,2}"])
    return f"(?:{written(dice, depth - 1)}){times}"


def test_a_pattern_takes_what_pythons_own_would_take():
    dice = random.Random(7)
    for _ in range(2_000):
        pattern = written(dice, 3)
        text = "".join(dice.choice("ab1.") for _ in range(dice.randrange(6)))
        assert Pattern(pattern).matches(text) is bool(re.fullmatch(pattern, text)), (pattern, text)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a*)*(a*)*b", "(a?){100}a{100}b"])
def test_no_pattern_makes_the_host_wait(pattern):
    assert not Pattern(pattern).matches("a" * 1_000)


def test_anchors_at_the_ends_change_nothing():
    assert Pattern("^v1$").matches("v1")
    assert Pattern(r"a\$").matches("a$")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "must have 1 to 200 characters"),
        ("a" * (PATTERN_CHARS_MAX + 1), "must have 1 to 200 characters, not 201"),
        (f"a{{{STATES_MAX + 1}}}", "must go from a number up to one of 1 to 500"),
        ("(a{100}){6}", "it is too big"),
        ("(((a{0}){500}){500}){500}", "{0} must go from a number"),
        ("a{2,1}", "must go from a number"),
        ("a{x}", "one or two numbers"),
        ("*a", "'*' has nothing to stand for"),
        ("a**", "repeats a repetition"),
        ("a)", "a ) too many"),
        ("()", "an empty group"),
        ("(?=a)", "not known here"),
        (r"\1", r"\1 is not known"),
        (r"\b", r"\b is not known"),
        ("[]", "an empty [ ]"),
        ("[a", "ends too early"),
        ("[z-a]", "wrong way round"),
        ("a\\", "ends too early"),
    ],
)
def test_what_is_no_pattern_is_refused_with_the_reason(pattern, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Pattern(pattern)
