"""Whatever a job writes into a report, reading it ends, fits, and tells nothing it must not."""

import json
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners import reports
from runners.cobertura import KEPT_BYTES_MAX
from runners.reading import File, Read, read
from runners.sarif import FINDINGS_MAX

KINDS = ("junit", "tap", "cobertura", "sarif", "unknown")
WORDS = st.sampled_from(
    [
        b"<coverage>", b"</coverage>", b"<class filename='a'>", b"</class>", b"<source>",
        b"</source>", b"<line number='1' hits='1'/>", b"<testsuite>", b"<testcase name='x'>",
        b"<failure>", b"</testsuite>", b"<!DOCTYPE a [", b"<!ENTITY b 'c'>", b"]>", b"&b;",
        b"ok 1 - a\n", b"not ok 2 # Todo\n", b"1..9\n", b"Bail out! x\n", b"  ---\n", b"  ...\n",
        b"# said\n", b"TAP version 13\n", b"\xff\xfe", b"\x00", b"\x1b[2J", b"[", b"{", b'"a":',
        b"1e999", b"\xe2\x80\xae",
    ]
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=30).map(b"".join)
NAMES = st.sampled_from(
    [
        "version",
        "runs",
        "results",
        "message",
        "text",
        "locations",
        "physicalLocation",
        "region",
        "artifactLocation",
        "uri",
        "startLine",
        "ruleId",
        "ruleIndex",
        "level",
        "tool",
        "driver",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
)
LOGS = st.lists(JSON, max_size=3).map(lambda runs: json.dumps({"version": "2.1.0", "runs": runs}))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KINDS), TEXTS | st.binary(max_size=60)), max_size=5))
def test_any_bytes_are_read_to_an_end_and_each_file_counts_or_is_named(files) -> None:
    found = read(File(kind, f"{n}", content) for n, (kind, content) in enumerate(files))
    named = [said for said in found.left_out if said.startswith("the report ")]
    assert len(named) <= len(files)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Read) == found


@settings(max_examples=300, deadline=None)
@given(LOGS)
def test_any_json_is_read_to_an_end_and_what_is_found_is_in_the_checkout(text: str) -> None:
    found = read([File("sarif", "a", text.encode())])
    for one in found.annotations:
        assert one.file
        assert not one.file.startswith(("/", ".."))
        assert one.line >= 1


@pytest.mark.anyio
async def test_reports_of_every_kind_are_read_together_in_a_process_of_their_own(tmp_path) -> None:
    (tmp_path / "a.xml").write_text("<testsuite><testcase name='a'/></testsuite>")
    (tmp_path / "b.tap").write_text("not ok 1 - b\n1..1\n")
    (tmp_path / "c.xml").write_text(
        "<coverage><class filename='c'><line number='1' hits='1'/></class></coverage>"
    )
    place = {"physicalLocation": {"artifactLocation": {"uri": "d.py"}}}
    finding = {"message": {"text": "no"}, "locations": [place]}
    log = {"version": "2.1.0", "runs": [{"results": [finding]}]}
    (tmp_path / "d.sarif").write_text(json.dumps(log))
    asked = {"junit": ["a.xml"], "tap": ["*.tap"], "cobertura": ["c.xml"], "sarif": ["**/*.sarif"]}
    found = await reports.read(tmp_path, asked)
    assert found.left_out == []
    assert found.tests is not None and found.coverage is not None
    assert (found.tests.passed, found.tests.failed) == (1, 1)
    assert found.coverage.percent == 100.0
    assert [(one.file, one.line, one.message) for one in found.annotations] == [("d.py", 1, "no")]
    # One file may be of two kinds.
    both = await reports.read(tmp_path, {"junit": ["a.xml"], "cobertura": ["a.xml"]})
    assert both.tests is not None and both.tests.passed == 1
    assert both.left_out == ["the report 'a.xml': it holds no <coverage>"]


@pytest.mark.anyio
async def test_the_largest_reports_are_read_within_the_limits(tmp_path) -> None:
    room = reports.FILE_BYTES_MAX
    line = b'<line number="%d" hits="1"/>'
    lines = b"".join(line % n for n in range(room // 40))
    (tmp_path / "c.xml").write_bytes(
        b"<coverage><class filename='c'><lines>" + lines + b"</lines></class></coverage>"
    )
    (tmp_path / "t.tap").write_bytes(b"ok 1 - x\n" * 99_000)
    (tmp_path / "s.sarif").write_bytes(_findings(room // 120))
    began = time.monotonic()
    asked = {"tap": ["t.tap"], "cobertura": ["c.xml"], "sarif": ["s.sarif"]}
    found = await reports.read(tmp_path, asked)
    assert found.tests is not None and found.coverage is not None, found.left_out
    assert found.tests.passed == 99_000
    assert found.coverage.lines == room // 40 - 1
    assert len(found.annotations) == FINDINGS_MAX
    assert len(msgspec.json.encode(found.coverage)) < 2 * KEPT_BYTES_MAX
    assert time.monotonic() - began < reports.PARSE_S_MAX


def _findings(count: int) -> bytes:
    place = {"physicalLocation": {"artifactLocation": {"uri": "d.py"}}}
    finding = {"message": {"text": "no"}, "locations": [place]}
    log = {"version": "2.1.0", "runs": [{"results": [finding] * count}]}
    return json.dumps(log, separators=(",", ":")).encode()
