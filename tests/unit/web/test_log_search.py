"""Which lines of a log hold a text, and which one says why."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_host.api.log_search import broken_line, failed_part, matches
from pipelines.kept_log import HEADING_CHARS_MAX, Heading, headings_in

TEXTS = st.lists(st.sampled_from(["ab", "AB", "\n", "b", "\x1b[31m", "\x1b[0m", "ä", " "]))


def check(text: str, needle: str, *, is_exact: bool = False) -> list[int]:
    return list(matches(text, 10, needle, is_exact=is_exact))


def test_a_text_is_found_once_a_line_whatever_its_capitals():
    assert check("one\nError error\n\nERROR\n", "error") == [11, 13]
    assert check("one\nError error\n\nERROR\n", "error", is_exact=True) == [11]
    assert check("", "error") == []


def test_a_text_is_found_though_its_parts_have_colours():
    assert check("a\n\x1b[31mfa\x1b[1mil\x1b[0med\n", "failed") == [11]
    assert check("a\n\x1b[31mx\x1b[0m\n", "[31m") == []


def test_a_text_is_taken_as_it_stands():
    assert check("a.c\nabc\n", "a.c") == [10]


@given(TEXTS, st.sampled_from(["a", "b", "ab", "ba", "ä"]), st.booleans())
def test_what_is_found_is_what_a_reader_would_find(parts, needle, is_exact):
    text = "".join(parts)
    shown = re.sub(r"\x1b\[\d+m", "", text)
    if not is_exact:
        shown = shown.lower()
    wanted = [10 + n for n, line in enumerate(shown.split("\n")) if needle in line]
    assert check(text, needle, is_exact=is_exact) == wanted


def test_headings_are_steps_and_groups_and_know_their_lines():
    text = "x\n=== make\nall\n::group::more\n y ::group::no\n::endgroup::\n=== " + "z" * 500
    assert list(headings_in(text, 5)) == [
        Heading(6, "=== make"),
        Heading(8, "::group::more"),
        Heading(10, "::endgroup::"),
        Heading(11, ("=== " + "z" * 500)[:HEADING_CHARS_MAX]),
    ]


HEADINGS = [
    Heading(0, "=== set up"),
    Heading(4, "=== set up: exit code 0 (1.0 s)"),
    Heading(5, "=== make test"),
    Heading(90, "=== make test: exit code 2 (3.0 s)"),
    Heading(91, "=== clean up"),
    Heading(95, "=== clean up: exit code 0 (0.1 s)"),
]


def test_the_part_that_broke_is_the_step_with_an_exit_code():
    assert failed_part(HEADINGS, 96) == (5, 90)
    assert failed_part(HEADINGS[:2], 50) == (0, 50)
    assert failed_part([Heading(7, "=== x: exit code -9 (1 s)")], 8) == (0, 7)


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (["collecting", "FAILED tests/test_a.py::test_b", "E   assert 4 == 5"], 1),
        (["cc -c a.c", "\x1b[1ma.c:3:5: \x1b[31merror:\x1b[0m no", "make: *** [a.o] Error 1"], 1),
        (["x", "Traceback (most recent call last):", "ValueError: 3"], 1),
        (["0 errors so far", "thread 'main' panicked at src/main.rs:4", "note: x"], 1),
        (["fine", "still fine", "", "\r"], 1),
        (["=== error: exit code 1 (2 s)", "ok 1", "not ok 2 - adds"], 2),
        ([], 0),
    ],
)
def test_the_line_that_says_what_broke_is_found(lines, number):
    assert broken_line(lines) == number
