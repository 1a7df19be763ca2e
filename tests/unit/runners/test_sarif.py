"""Findings of analysers, in SARIF: to a file and a line, with rule and level."""

import json

import msgspec
import pytest

from pipelines.job import Annotation
from runners.reading import File, read
from runners.sarif import FINDINGS_MAX

RULES = [
    {"id": "E1", "defaultConfiguration": {"level": "error"}},
    {"id": "N1", "messageStrings": {"default": {"text": "'{0}' is never used"}}},
]


def log(*results: object, **run: object) -> dict[str, object]:
    tool = {"driver": {"name": "lint", "rules": RULES}}
    return {"version": "2.1.0", "runs": [{"tool": tool, "results": list(results), **run}]}


def result(uri: str = "src/a.py", line: object = 7, **more: object) -> dict[str, object]:
    physical = {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}
    given = {"message": {"text": "it is wrong"}, "locations": [{"physicalLocation": physical}]}
    return {**given, **more}


def check(*logs: object):
    return read(
        File("sarif", f"{n}.sarif", one if isinstance(one, bytes) else json.dumps(one).encode())
        for n, one in enumerate(logs)
    )


def one(found) -> Annotation:
    assert found.left_out == []
    [annotation] = found.annotations
    return annotation


def test_a_finding_has_its_place_its_rule_its_level_and_its_message():
    found = one(check(log(result(ruleId="E1"))))
    assert found == Annotation(
        file="src/a.py", line=7, message="it is wrong", level="error", title="E1"
    )


@pytest.mark.parametrize(
    ("more", "level", "title"),
    [
        ({"ruleIndex": 0}, "error", "E1"),
        ({"rule": {"id": "E1"}}, "error", "E1"),
        ({"ruleId": "E1/2"}, "error", "E1"),
        ({"ruleId": "unknown"}, "warning", "unknown"),
        ({"ruleId": "E1", "level": "note"}, "notice", "E1"),
        ({"level": "none"}, "notice", msgspec.UNSET),
        ({"level": "dreadful"}, "warning", msgspec.UNSET),
    ],
)
def test_a_level_is_the_findings_own_or_its_rules(more, level, title):
    found = one(check(log(result(**more))))
    assert (found.level, found.title) == (level, title)


def test_a_message_may_be_its_rules_with_arguments():
    given = result(ruleId="N1", message={"id": "default", "arguments": ["total"]})
    assert one(check(log(given))).message == "'total' is never used"


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("file:///workspace/src/a%20b.py", "src/a b.py"),
        ("./src/a.py", "src/a.py"),
        ("src/../b.py", "b.py"),
        ("src\\a.py", "src/a.py"),
    ],
)
def test_a_place_is_one_of_the_repository(uri, file):
    assert one(check(log(result(uri)))).file == file


def test_a_place_may_be_told_by_a_base_or_an_index():
    base = {"originalUriBaseIds": {"SRC": {"uri": "file:///workspace/src/"}}}
    given = result()
    given["locations"][0]["physicalLocation"]["artifactLocation"] = {
        "uri": "a.py",
        "uriBaseId": "SRC",
    }
    assert one(check(log(given, **base))).file == "src/a.py"
    given["locations"][0]["physicalLocation"]["artifactLocation"] = {"index": 0}
    listed = {"artifacts": [{"location": {"uri": "b.py"}}]}
    assert one(check(log(given, **listed))).file == "b.py"


@pytest.mark.parametrize(
    "uri", ["/etc/passwd", "file:///etc/passwd", "../a.py", "https://x.test/a.py", "", "."]
)
def test_a_finding_elsewhere_is_counted_and_not_shown(uri):
    found = check(log(result(uri), result()))
    assert len(found.annotations) == 1
    assert found.left_out == ["of the report '0.sarif': 1 findings have no place in the checkout"]


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "pass"},
        {"kind": "notApplicable"},
        {"suppressions": [{"kind": "inSource"}]},
        {"suppressions": [{"kind": "external", "status": "accepted"}]},
    ],
)
def test_what_did_not_fail_or_is_suppressed_is_none(more):
    found = check(log(result(**more)))
    assert (found.annotations, found.left_out) == ([], [])
    rejected = result(suppressions=[{"kind": "external", "status": "rejected"}])
    assert len(check(log(rejected)).annotations) == 1


def test_of_very_many_errors_are_kept_first_and_the_rest_is_counted():
    many = [result(line=n + 1, ruleId="N1") for n in range(FINDINGS_MAX + 20)]
    found = check(log(*many), log(result(line=999, ruleId="E1")))
    assert len(found.annotations) == FINDINGS_MAX
    assert (found.annotations[0].line, found.annotations[1].line) == (999, 1)
    assert found.left_out == ["21 more findings; 100 are kept"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "it is no SARIF"),
        (b"{}", "it is no SARIF"),
        (b"[" * 100_000, "it is no SARIF"),
        (b'{"version":"2.1.0","runs":[{"x":' + b"[" * 100_000, "it is no SARIF"),
        (b'{"version":"2.1.0","runs":[{"results":[{"message":{"text":"\xff"}}]}]}', "it is no"),
        (json.dumps(log(result(line=10**30))).encode(), "it is no SARIF"),
        (b'{"version":"1.0.0","runs":[]}', "it is SARIF '1.0.0'; 2.1 is read"),
    ],
    ids=range(7),
)
def test_what_is_no_sarif_is_left_out_and_the_others_count(text, says):
    found = check(text, log(result()))
    assert len(found.annotations) == 1
    assert found.left_out[0].startswith(f"the report '0.sarif': {says}")


def test_a_file_may_begin_with_a_mark_of_its_encoding_and_lines_that_are_none_are_the_first():
    text = b"\xef\xbb\xbf" + json.dumps(log(result(line=0))).encode()
    assert one(check(text)).line == 1
