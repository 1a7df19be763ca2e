"""Annotations: the JSON lines that steps write, and what is said of those that are none."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.job import Annotation
from runners import annotations
from runners.annotations import ANNOTATIONS_MAX, LEFT_OUT_MAX, parse


def check(*lines: object):
    return parse(
        "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines).encode()
    )


def test_a_line_is_one_annotation_and_only_file_and_message_are_needed():
    found = check(
        {"file": "src/a.py", "message": "too long"},
        "",
        {"file": "./b c.py", "line": 7, "message": "no\nway", "level": "error", "title": "E501"},
        {"file": "/workspace/ü.py", "line": 2, "message": "so", "level": "notice"},
    )
    assert found.left_out == []
    assert found.annotations == [
        Annotation(file="src/a.py", line=1, message="too long", level="warning"),
        Annotation(file="b c.py", line=7, message="no\nway", level="error", title="E501"),
        Annotation(file="ü.py", line=2, message="so", level="notice"),
    ]
    assert b"title" not in msgspec.json.encode(found.annotations[0])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "malformed"),
        ('{"file": "a"}', "missing required field `message`"),
        ({"file": "a", "message": "m", "lnie": 3}, "unknown field `lnie`"),
        ({"file": "a", "message": "m", "line": "3"}, "Expected `int`"),
        ({"file": "a", "message": "m", "line": 0}, "a line from 1 on"),
        ({"file": "a", "message": " "}, "needs a message"),
        ({"file": "a", "message": "m", "level": "fatal"}, "Invalid enum value"),
        ({"file": "/etc/passwd", "message": "m"}, "no path of a file in the repository"),
        ({"file": "a/../../b", "message": "m"}, "no path of a file in the repository"),
        ({"file": "", "message": "m"}, "no path of a file in the repository"),
        ({"file": "a\n", "message": "m"}, "no path of a file in the repository"),
        ({"file": "a" * 501, "message": "m"}, "its file has 501 characters; 500 are allowed"),
        ({"file": "a", "message": "m" * 2001}, "its message has 2,001 characters"),
        ({"file": "a", "message": "m", "title": "t" * 201}, "its title has 201 characters"),
        ("[" * 50_000, "of the annotations"),
    ],
)
def test_what_is_none_is_left_out_and_named_and_the_rest_is_kept(line, said):
    found = check({"file": "a", "message": "first"}, line, {"file": "b", "message": "last"})
    assert [one.message for one in found.annotations] == ["first", "last"]
    [left_out] = found.left_out
    assert left_out.startswith("line 2 of the annotations: ")
    assert said in left_out


@pytest.mark.parametrize("more", [0, 3])
def test_a_job_has_fifty_and_is_told_how_many_were_left_out(more):
    found = check(*[{"file": "a", "message": str(n)} for n in range(ANNOTATIONS_MAX + more)])
    assert len(found.annotations) == ANNOTATIONS_MAX
    assert found.left_out == (["3 annotations: a job has at most 50"] if more else [])


def test_of_many_wrong_lines_the_first_are_named_and_the_rest_counted():
    found = check(*["x"] * 100)
    assert len(found.left_out) == LEFT_OUT_MAX
    assert found.left_out[-1] == "91 more lines of the annotations"


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_nothing_a_job_writes_is_an_error_or_commands_a_terminal(content):
    found = parse(content)
    for text in [*found.left_out, *(one.message for one in found.annotations)]:
        assert "\x1b" not in text
        assert len(text) <= annotations.MESSAGE_CHARS_MAX


def test_what_would_command_a_terminal_is_replaced():
    text = "\x1b]0;gone\x07 \u202e"
    found = check(
        {"file": "a", "message": text, "title": text}, {"file": "a", "message": "m", text: 1}
    )
    [note] = found.annotations
    assert note.message == note.title == "\ufffd]0;gone\ufffd \ufffd"
    assert "\x1b" not in found.left_out[0]
