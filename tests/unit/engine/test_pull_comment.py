"""The comment under a pull request: what it says, and that nobody's text is more than that."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_host.comment_ports import CommandAnswer, FailedJob, PullReport, RunLine
from ci_host.engine.pull_comment import (
    COMMENT_BYTES_MAX,
    GRAVEST,
    WORDS,
    answer_text,
    comment_text,
    marker_of,
)
from pipelines.status import Standing
from webhooks.comments import NO_COMMAND, commanded

HOSTILE = [
    "`` ` ``",
    "a|b\\|c",
    "<img src=x onerror=alert(1)> </details> <!-- x -->",
    "@everyone #1 !2 [x](javascript:alert(1)) ![i](http://evil/i.png)",
    "```\n/close\n/merge\n```\n~~~",
    "\n/close",
    "\x1b[31mred\x1b[0m \x00\x07\r\n\t",
    "\u202egnp.exe\u200b\u2028/close",
    "é" * 100_000,
    "/staunch cancel",
]


def report(*lines: RunLine, **changes) -> PullReport:
    facts = {"connection": "hub", "repo": "hub/1", "repo_name": "a/b", "number": 7,
             "commit": "0123456789abcdef" * 2, "head_at": 0.0,
             "lines": {line.context: line for line in lines}, "is_news": True}  # fmt: skip
    return PullReport(**{**facts, **changes})


def line(context: str = "staunch/ci", standing: Standing = Standing.FAILED, **changes) -> RunLine:
    facts = {"context": context, "standing": standing, "said": "exit code 1",
             "url": "https://ci.example/runs/1-0", "run": "1-0"}  # fmt: skip
    return RunLine(**{**facts, **changes})


def test_the_gravest_is_said_first_and_each_pipeline_has_a_row_with_its_link() -> None:
    text = comment_text(
        report(line("staunch/a", Standing.SUCCEEDED, said="succeeded"), line("staunch/b")), {}
    )
    assert text.splitlines() == [
        marker_of(report()),
        "",
        "### ❌ Staunch: 1 of 2 failed",
        "",
        "| | | |",
        "| --- | --- | --- |",
        "| `staunch/b` | ❌ failed: `exit code 1` | [run](https://ci.example/runs/1-0) |",
        "| `staunch/a` | ✅ succeeded | [run](https://ci.example/runs/1-0) |",
        "",
        "Of commit `0123456789ab`; this comment follows the newest one.",
    ]


def test_a_job_that_failed_has_its_tests_and_the_end_of_its_log() -> None:
    job = FailedJob(key="unit", job="j", message="exit 1", tests=["s t1"], tests_failed=3)
    text = comment_text(report(line(failed=[job])), {"j": ["one", "  two"]})
    assert "**`staunch/ci`, job `unit`**: `exit 1`" in text
    assert "Failed tests (3):\n\n- `s t1`\n- … and 2 more\n" in text
    assert "```text\n│ one\n│   two\n```\n\n</details>" in text


def test_every_standing_has_its_words_and_its_place() -> None:
    assert set(WORDS) == set(Standing) == set(GRAVEST)


def test_it_is_found_by_its_pull_request_and_by_no_other() -> None:
    places = [report(), report(number=8), report(repo="hub/2")]
    assert len({marker_of(one) for one in places}) == 3
    assert marker_of(report(commit="f" * 40)) == marker_of(report())


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nobodys_text_is_more_than_text(text: str) -> None:
    check(text)


@given(st.text(max_size=300))
def test_no_text_at_all_is_more_than_text(text: str) -> None:
    check(text)


OURS = """Staunch of job Failed tests run details summary The last lines its log Of commit this
comment follows the newest one"""


def check(text: str) -> None:
    job = FailedJob(key=text, job="j", message=text, tests=[text], tests_failed=1)
    said = comment_text(
        report(line(text, said=text, url=f"https://ci/{text}", failed=[job]), commit=text),
        {"j": [text, *text.split("\n")]},
    )
    assert len(said.encode()) <= COMMENT_BYTES_MAX
    for one in said.split("\n"):
        # GitLab, and we, take what begins so for a command.
        assert not one.lstrip().startswith("/")
        assert one.isprintable()
    outside = re.sub(r"```text\n(│ [^\n]*\n)*```", "", said)
    # What is left when code, links and the marker are taken away is ours.
    ours = re.sub(r"<!--.*?-->|`[^`\n]+`|\]\(https://ci/[\w./%~-]*\)", "", outside)
    known = set(" ".join([OURS, *(word for _, word in WORDS.values())]).split())
    assert set(re.findall(r"\w+", ours)) - known <= {str(n) for n in range(100)}
    assert "@" not in ours and "<img" not in ours and "javascript" not in ours
    assert is_no_command(said)


def is_no_command(body: str) -> bool:
    found = commanded("1", "a/b", number=7, ref="refs/pull/7/head", login="ada", body=body)
    return found == NO_COMMAND


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_an_answer_is_short_safe_and_no_command_of_ours(text: str) -> None:
    one = CommandAnswer(connection="hub", repo="hub/1", repo_name="a/b", number=7, comment="5",
                        word="rerun", accepted=False, said=text)  # fmt: skip
    said = answer_text(one)
    marker, words, end = said.split("\n")
    assert marker.startswith("<!-- staunch answer ") and end == ""
    assert re.fullmatch(r"`/staunch rerun` did nothing: `[^`]+`", words) and words.isprintable()
    assert len(said) < 1_000 and is_no_command(said)
