import pytest

from pipelines.job import Annotation
from runners.problems import ANNOTATIONS_MAX, find

FILES = {"app/main.py", "tests/test_main.py", "src/lib.rs", "src/main.c", "a b.py"}


def check(text: str) -> list[Annotation]:
    return find(text, lambda path: path in FILES)


def places(text: str) -> list[tuple[str, int, str]]:
    return [(note.file, note.line, note.message) for note in check(text)]


def test_a_traceback_points_at_the_innermost_frame_of_the_repository():
    text = """\
Traceback (most recent call last):
  File "/workspace/tests/test_main.py", line 3, in <module>
    main()
  File "/workspace/app/main.py", line 12, in main
    json.loads("{")
  File "/usr/lib/python3.11/json/decoder.py", line 355, in raw_decode
    raise JSONDecodeError("Expecting value", s, err.value) from None
json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)
"""
    message = "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)"
    assert places(text) == [("app/main.py", 12, message)]


def test_a_failed_unittest_points_at_its_assertion():
    text = """\
F
======================================================================
FAIL: test_sum (tests.test_main.Sums.test_sum)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/workspace/tests/test_main.py", line 7, in test_sum
    self.assertEqual(1 + 1, 3)
AssertionError: 2 != 3

----------------------------------------------------------------------
Ran 1 test in 0.000s
"""
    assert places(text) == [("tests/test_main.py", 7, "AssertionError: 2 != 3")]


def test_a_failed_pytest_says_what_went_wrong_and_where():
    text = """\
    def test_sum():
>       assert 1 + 1 == 3
E       assert (1 + 1) == 3

tests/test_main.py:4: AssertionError
=========================== short test summary info ============================
FAILED tests/test_main.py::test_sum - assert (1 + 1) == 3
"""
    assert places(text) == [("tests/test_main.py", 4, "assert (1 + 1) == 3")]


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("app/main.py:3:5: F401 `os` imported but unused", (3, "F401 `os` imported but unused")),
        ("./app/main.py:3: error: Missing return  [return]", (3, "Missing return  [return]")),
        ("/workspace/src/main.c:9:1: fatal error: no.h: No such file", (9, "no.h: No such file")),
        ("\x1b[31msrc/lib.rs:2:4\x1b[0m: error[E0425]: cannot find", (2, "cannot find")),
    ],
)
def test_linters_and_compilers_are_understood(line, place):
    assert [(note.line, note.message) for note in check(line)] == [place]


def test_a_warning_stays_a_warning_and_notes_are_left_out():
    text = "src/main.c:1:1: warning: unused\nsrc/main.c:2:1: note: declared here\n"
    assert [(note.line, note.level) for note in check(text)] == [(1, "warning")]


def test_places_outside_the_repository_count_only_where_there_are_no_others():
    outside = "/usr/lib/python3/x.py:1: error: odd"
    assert places(outside) == [("/usr/lib/python3/x.py", 1, "odd")]
    assert [note.file for note in check(outside + "\napp/main.py:2: error: ours")] == [
        "app/main.py"
    ]


def test_each_place_is_named_once_and_there_are_at_most_ten():
    text = "".join(f"app/main.py:{n}: error: e\n" * 2 for n in range(1, 30))
    assert [note.line for note in check(text)] == list(range(1, ANNOTATIONS_MAX + 1))


@pytest.mark.parametrize(
    "text", ["", "12:30:45 all is well", "http://example.org:80/x", "x" * 9999]
)
def test_ordinary_output_names_no_place(text):
    assert check(text) == []
