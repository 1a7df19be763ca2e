"""Outputs: the lines that steps write, and what they mean."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.outputs import DEPTH_MAX, WrongOutput, parse

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    LEAVES.filter(lambda one: one not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))


def check(*lines: str) -> dict:
    return parse("\n".join(lines).encode())


def test_a_plain_line_is_a_text_and_a_typed_one_is_json():
    found = check(
        "version=1.2.3",
        "count:=3",
        "share:=0.5",
        "clean:=true",
        'shards:=["a", "b"]',
        'image:={"name": "web", "size": 12}',
        r'notes:="one\ntwo"',
        "nothing:=null",
    )
    assert found == {
        "version": "1.2.3",
        "count": 3,
        "share": 0.5,
        "clean": True,
        "shards": ["a", "b"],
        "image": {"name": "web", "size": 12},
        "notes": "one\ntwo",
        "nothing": None,
    }
    assert [type(found[name]) for name in ("count", "share", "clean")] == [int, float, bool]


def test_a_plain_line_is_never_guessed_to_be_a_number():
    assert check("port=8080", "on=true", "empty=", "url=http://x/?a=b") == {
        "port": "8080",
        "on": "true",
        "empty": "",
        "url": "http://x/?a=b",
    }


def test_the_last_line_of_a_name_counts_and_empty_lines_do_not():
    assert check("", "a=1", "  ", "a:=2", "") == {"a": 2}


@given(st.dictionaries(NAMES, VALUES))
def test_every_json_value_comes_back_as_it_was(values):
    assert check(*(f"{name}:={json.dumps(value)}" for name, value in values.items())) == values


@given(st.dictionaries(NAMES, LINES))
def test_every_text_of_one_line_comes_back_as_it_was(texts):
    assert check(*(f"{name}={text}" for name, text in texts.items())) == texts


@given(st.binary() | st.text().map(str.encode))
def test_whatever_a_job_wrote_is_values_or_an_error_that_names_the_line(content):
    try:
        parse(content)
    except WrongOutput as wrong:
        assert "line " in str(wrong)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no sign", "line 2 is neither name=text nor name:=JSON: 'no sign'"),
        ("1st=x", "line 2 is neither"),
        ("a b=x", "line 2 is neither"),
        ("=x", "line 2 is neither"),
        ("a:=yes", "the value of line 2 is no JSON"),
        ("a:=NaN", "the value of line 2 is no JSON"),
        ("a:=1e999", "the value of line 2 is no JSON"),
        (r'a:="\ud800"', "the value of line 2 is no JSON"),
        ("a:=", "the value of line 2 is no JSON"),
        ("x" * 101 + "=1", "line 2 is neither"),
    ],
)
def test_what_is_no_output_is_an_error_that_names_the_line(line, said):
    with pytest.raises(WrongOutput) as caught:
        check("fine=1", line)
    assert said in str(caught.value)


def test_bytes_that_are_no_text_are_an_error():
    with pytest.raises(WrongOutput, match="line 2 is no UTF-8"):
        parse(b"a=1\nb=\xff\n")


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")])
def test_a_value_may_be_nested_as_deep_as_the_limit_and_no_deeper(brackets):
    opening, closing = brackets

    def nested(depth: int) -> str:
        return f"a:={opening * depth}1{closing * depth}"

    check(nested(DEPTH_MAX))
    for depth in (DEPTH_MAX + 1, 5_000):
        with pytest.raises(WrongOutput, match="line 1 is nested deeper than 32"):
            check(nested(depth))
