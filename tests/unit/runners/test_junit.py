"""JUnit files: what is read of them, and that no file harms who reads it."""

import os
import time

import pytest

from pipelines.job import ReportedTest
from runners import reports
from runners.junit import KEPT_BYTES_MAX
from runners.reading import File, read
from tests.patience import AT_ONCE_S

FILE = """<?xml version="1.0" encoding="utf-8"?>
<testsuites>
 <testsuite name="pytest" tests="4" file="tests/test_a.py">
  <properties><property name="x" value="y"/></properties>
  <testcase classname="tests.test_a" name="test_one" time="0.25">
   <system-out>hi</system-out></testcase>
  <testcase classname="tests.test_a" name="test_two" time="1,000.5" file="tests/test_b.py">
   <failure message="assert 1 == 2">Traceback</failure></testcase>
  <testcase classname="tests.test_a" name="test_three" time="nan">
   <error>boom &lt;here&gt;</error></testcase>
  <testcase name="test_four"><skipped message="not today"/></testcase>
 </testsuite>
</testsuites>"""


def check(**files: str | bytes):
    given = (
        File("junit", name, one if isinstance(one, bytes) else one.encode())
        for name, one in files.items()
    )
    found = read(given)
    return found.tests, found.left_out


async def said_in(workspace, patterns):
    """What the JUnit files in a workspace say, and what was left out."""
    found = await reports.read(workspace, {"junit": patterns})
    return found.tests, found.left_out


def test_every_test_is_read_with_its_outcome_time_place_and_message():
    found, left_out = check(a=FILE)
    assert left_out == []
    assert (found.passed, found.failed, found.skipped, found.left_out) == (1, 2, 1, 0)
    assert found.seconds == 1000.75
    suite = "tests.test_a"
    assert found.tests == [
        ReportedTest(
            name="test_one", suite=suite, file="tests/test_a.py", seconds=0.25, outcome="passed"
        ),
        ReportedTest(
            name="test_two",
            suite=suite,
            file="tests/test_b.py",
            seconds=1000.5,
            outcome="failed",
            message="assert 1 == 2",
        ),
        ReportedTest(
            name="test_three",
            suite=suite,
            file="tests/test_a.py",
            outcome="error",
            message="boom <here>",
        ),
        ReportedTest(
            name="test_four", file="tests/test_a.py", outcome="skipped", message="not today"
        ),
    ]


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><testsuite><testcase name='&i;'/></testsuite>"
)
HOSTILE = {
    BOMB: "declares a document type",
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&a;"/>'
    "</testsuite>": "declares a document type",
    '<!DOCTYPE x SYSTEM "http://evil.test/x.dtd"><testsuite/>': "declares a document type",
    "<testsuite><testcase name='a'></testsuite>": "it is no XML",
    "": "it is no XML",
    "\x00\x01": "it is no XML",
    "<html/>": "it holds no <testsuite>",
    "<testsuite>&undefined;</testsuite>": "it is no XML",
    '<?xml version="1.0" encoding="utf-7"?><testsuite/>': "it is no XML",
    '<?xml version="1.0" encoding="none"?><testsuite/>': "it is no XML",
}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_file_that_is_none_or_means_ill_is_left_out_whole_and_the_others_count(text):
    found, left_out = check(good=FILE, bad=text, good_too=FILE)
    assert (found.passed, found.failed) == (2, 4)
    [said] = left_out
    assert said.startswith("the report 'bad': ")
    assert HOSTILE[text] in said


def test_deep_nesting_costs_no_stack():
    deep = "<a>" * 200_000 + "</a>" * 200_000
    found, left_out = check(a=f"<testsuite>{deep}<testcase name='t'/></testsuite>")
    assert (found.passed, left_out) == (1, [])


def test_of_very_many_tests_the_failed_and_the_slow_are_kept_and_all_are_counted():
    many = "".join(f'<testcase name="test_{n}" time="{n}"/>' for n in range(9_000))
    last = '<testcase name="broken"><failure/></testcase>'
    found, _ = check(a=f"<testsuite>{many}{last}</testsuite>")
    assert (found.passed, found.failed) == (9_000, 1)
    assert 0 < found.left_out == 9_001 - len(found.tests)
    assert found.tests[-1].name == "broken"
    assert found.tests[-2].name == "test_8999"
    assert sum(len(one.name) for one in found.tests) < KEPT_BYTES_MAX


def test_what_would_command_a_terminal_is_no_part_of_a_name_or_message():
    found, _ = check(a='<testsuite><testcase name="a&#x202e;b&#x7f;"/></testsuite>')
    assert found.tests[0].name == "a\ufffdb\ufffd"


class TestInAWorkspace:
    """Files as a job may have left them, read by the process that is for it."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def workspace(self, tmp_path):
        for path in ("a.xml", "build/b.xml", "build/x/deep/c.xml"):
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(FILE)
        return tmp_path

    @pytest.mark.parametrize(
        ("pattern", "files"),
        [
            ("*.xml", 1),
            ("build/*.xml", 1),
            ("./build/b.xml", 1),
            ("**/*.xml", 3),
            ("build/**/c*", 1),
        ],
    )
    async def test_a_pattern_names_files_under_the_workspace(self, workspace, pattern, files):
        tests, left_out = await said_in(workspace, [pattern])
        assert (tests.failed, left_out) == (2 * files, [])

    async def test_a_file_that_two_patterns_name_counts_once(self, workspace):
        tests, _ = await said_in(workspace, ["*.xml", "a.*"])
        assert tests.failed == 2

    @pytest.mark.parametrize(
        "pattern", ["none/*.xml", "../*", "/etc/*", "..", "**", "build/../a.xml"]
    )
    async def test_a_pattern_that_names_none_is_said_and_never_leads_out(self, workspace, pattern):
        outside = workspace.parent / f"{workspace.name}.xml"
        outside.write_text(FILE)
        tests, left_out = await said_in(workspace / "build", [pattern.replace("**", "no")])
        outside.unlink()
        assert tests.failed == 0
        assert "there is no such file" in left_out[0]

    async def test_links_pipes_and_devices_are_not_followed(self, workspace):
        (workspace / "build/link.xml").symlink_to("/etc/passwd")
        (workspace / "out").symlink_to("/etc")
        os.mkfifo(workspace / "build/pipe.xml")
        tests, left_out = await said_in(workspace, ["build/*.xml", "out/*"])
        assert tests.failed == 2
        assert [one.split(":")[0] for one in left_out] == [
            "the report 'build/link.xml'",
            "the report 'build/pipe.xml'",
            "the reports 'out/*'",
        ]

    async def test_of_many_that_cannot_be_read_the_first_are_named_and_the_rest_counted(
        self, workspace
    ):
        for number in range(3_000):
            (workspace / f"build/{number}.xml").symlink_to("/etc/passwd")
        _, left_out = await said_in(workspace, ["build/*.xml"])
        assert len(left_out) == reports.LEFT_OUT_MAX
        assert left_out[-1] == "2,991 more reports"

    async def test_a_workspace_that_cannot_be_opened_is_said(self, workspace):
        (workspace / "link").symlink_to(workspace / "build")
        for gone in ("gone", "link", "a.xml"):
            tests, left_out = await said_in(workspace / gone, ["*.xml"])
            assert tests.failed == 0
            assert left_out[0].startswith("the reports: the workspace cannot be opened: ")

    async def test_files_beyond_the_limits_are_left_out_and_said(self, workspace):
        os.truncate(workspace / "a.xml", reports.FILE_BYTES_MAX + 1)
        for number in range(reports.FILES_MAX + 1):
            (workspace / f"build/{number}.xml").write_text("<testsuite/>")
        _, left_out = await said_in(workspace, ["a.xml", "build/*.xml"])
        assert "it has 8,388,609 bytes; 8,388,608 are allowed" in left_out[0]
        assert left_out[1] == "some reports: more than 200 files are reports"

    async def test_a_reader_that_takes_too_long_is_killed_and_that_is_said(
        self, workspace, monkeypatch
    ):
        monkeypatch.setattr(reports, "PARSE_S_MAX", 0.0)
        began = time.monotonic()
        tests, left_out = await said_in(workspace, ["*.xml"])
        assert (tests.failed, left_out) == (0, ["the reports: reading them took too much"])
        assert time.monotonic() - began < AT_ONCE_S
