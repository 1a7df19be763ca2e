"""TAP files: what is read of them, by the tools that write them."""

import pytest

from pipelines.job import ReportedTest
from runners.reading import File, read

PERL = """\
1..6
ok 1 - it opens
not ok 2 - it reads
#   Failed test 'it reads'
#   at t/basic.t line 7.
ok 3 - later # SKIP no network
not ok 4 - soon # Todo not written
ok 5
# a word in between
ok 6 - done # time=3ms
"""
NODE = """\
TAP version 13
# Subtest: adds
ok 1 - adds
  ---
  duration_ms: 250.5
  ...
# Subtest: divides
    # Subtest: by zero
    not ok 1 - by zero
      ---
      duration_ms: 1
      ...
not ok 2 - divides
  ---
  duration_ms: 1500
  error: |-
    Expected 1
  code: 'ERR'
  ...
1..2
"""


def check(text: str | bytes, name: str = "t/basic.tap"):
    return read([File("tap", name, text if isinstance(text, bytes) else text.encode())])


def short(found) -> list[tuple[str, str, str]]:
    return [(one.name, one.outcome, one.message) for one in found.tests.tests]


def test_every_result_is_read_with_its_directive_and_what_is_said_below_it():
    found = check(PERL)
    assert found.left_out == []
    assert short(found) == [
        ("it opens", "passed", ""),
        ("it reads", "failed", "Failed test 'it reads'\nat t/basic.t line 7."),
        ("later", "skipped", "no network"),
        ("soon", "skipped", "not written"),
        ("test 5", "passed", ""),
        ("done", "passed", ""),
    ]
    assert {one.suite for one in found.tests.tests} == {"t/basic.tap"}
    assert (found.tests.passed, found.tests.failed, found.tests.skipped) == (3, 1, 2)


def test_blocks_below_a_result_have_its_time_and_message_and_subtests_are_their_parents():
    found = check(NODE)
    assert found.tests.tests == [
        ReportedTest(name="adds", suite="t/basic.tap", outcome="passed", seconds=0.251),
        ReportedTest(
            name="divides",
            suite="t/basic.tap",
            outcome="failed",
            seconds=1.5,
            message="duration_ms: 1500\nerror: |-\nExpected 1\ncode: 'ERR'",
        ),
    ]


def test_a_bail_out_and_tests_that_did_not_run_are_errors():
    assert short(check("1..3\nok 1\nBail out! the disk is full\n")) == [
        ("test 1", "passed", ""),
        ("Bail out!", "error", "the disk is full"),
        ("(plan)", "error", "3 tests were planned, 2 ran"),
    ]


def test_a_plan_of_none_is_no_mistake():
    found = check("1..0 # SKIP no database\n")
    assert (found.tests.tests, found.left_out) == ([], [])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it holds no test and no plan"),
        ("<testsuite/>", "it holds no test and no plan"),
        ("TAP version 12\nok 1\n", "it is no TAP"),
        (f"ok {'9' * 9_000} - x\n", "it is no TAP"),
    ],
)
def test_what_is_no_tap_is_left_out_and_said(text, says):
    found = check(text)
    assert found.tests is None or found.tests.tests == []
    assert found.left_out[0].startswith(f"the report 't/basic.tap': {says}")


def test_bytes_that_are_no_text_and_what_would_command_a_terminal_are_marked():
    found = check(b"ok 1 - \xff\x1b[2J\n")
    assert found.tests.tests[0].name == "\ufffd\ufffd[2J"
