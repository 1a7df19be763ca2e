"""How a Status is a check: the tables, the buttons and the limits."""

import pytest

from pipelines.job import Annotation
from pipelines.run import FINAL, RunState
from pipelines.status import OF_RUN, OF_STATE, Standing, Status, StatusState, gate_mark
from webhooks.github.check_body import (
    AGAIN,
    CHECKS,
    FAILED_AGAIN,
    annotations_of,
    check_of,
    pressed_gate,
)

# What GitHub's branch protection lets through.
PASSES = {"success", "neutral", "skipped"}


def status(**changes) -> Status:
    facts = {
        "id": "s",
        "connection": "hub",
        "repo": "1",
        "repo_name": "waterways/lock",
        "commit": "a" * 40,
        "context": "staunch/pipeline",
        "state": StatusState.PENDING,
        "description": "said",
        "target_url": "https://ci.example/runs/1",
        "at": 0.0,
        "run": "1-0",
    }
    return Status(**{**facts, **changes})


@pytest.mark.parametrize(
    ("standing", "shown"),
    [
        (Standing.QUEUED, ("queued", None)),
        (Standing.RUNNING, ("in_progress", None)),
        (Standing.WAITING, ("completed", "action_required")),
        (Standing.SUCCEEDED, ("completed", "success")),
        (Standing.FAILED, ("completed", "failure")),
        (Standing.ERRORED, ("completed", "failure")),
        (Standing.CANCELLED, ("completed", "cancelled")),
        (Standing.TIMED_OUT, ("completed", "timed_out")),
        (Standing.SKIPPED, ("completed", "skipped")),
    ],
)
def test_every_standing_has_its_words_at_github(standing, shown):
    body = check_of(status(standing=standing))
    assert (body["status"], body.get("conclusion")) == shown
    assert ("completed_at" in body) == (shown[0] == "completed")


def test_no_standing_is_forgotten_and_only_what_is_good_passes_a_required_check():
    assert set(CHECKS) == set(Standing)
    passed = {standing for standing, (_, how) in CHECKS.items() if how in PASSES}
    assert passed == {Standing.SUCCEEDED, Standing.SKIPPED}


@pytest.mark.parametrize("state", sorted(FINAL - {RunState.CONTINUED}))
def test_a_run_that_is_over_is_completed_whatever_is_known_of_it(state):
    assert CHECKS[OF_STATE[OF_RUN[state]]][0] == "completed"


def test_the_buttons_are_there_when_the_run_is_over_and_fit():
    over = {"is_last": True}
    assert check_of(status(standing=Standing.SUCCEEDED, **over))["actions"] == [AGAIN]
    failed = check_of(status(standing=Standing.FAILED, **over))["actions"]
    assert failed == [AGAIN, FAILED_AGAIN]
    # A gate is over before its Run; and where there is no Run there is nothing to run again.
    assert check_of(status(standing=Standing.SUCCEEDED))["actions"] == []
    assert check_of(status(standing=Standing.ERRORED, run="", **over))["actions"] == []
    for action in failed:
        assert [len(action[n]) <= most for n, most in
                (("label", 20), ("description", 40), ("identifier", 20))] == [True] * 3  # fmt: skip


def test_a_gate_that_waits_has_buttons_that_name_it_and_fit():
    mark = gate_mark("1-0", "deploy")
    gate = status(standing=Standing.WAITING, gate=mark)
    actions = check_of(gate)["actions"]
    assert [pressed_gate(one["identifier"]) for one in actions] == [(True, mark), (False, mark)]
    for action in actions:
        assert [len(action[n]) <= most for n, most in
                (("label", 20), ("description", 40), ("identifier", 20))] == [True] * 3  # fmt: skip
    assert check_of(status(standing=Standing.SUCCEEDED, gate=mark))["actions"] == []
    assert check_of(status(standing=Standing.WAITING))["actions"] == []


def test_a_check_is_named_by_its_run_or_else_by_what_is_told():
    assert check_of(status())["external_id"] == "1-0"
    assert check_of(status(run=""))["external_id"] == "s"


@pytest.mark.parametrize(
    ("level", "shown"),
    [("error", "failure"), ("warning", "warning"), ("notice", "notice"), ("dire", "warning")],
)
def test_an_annotation_has_one_line_and_githubs_word_for_its_level(level, shown):
    one = Annotation(file="a/b.py", line=0, message="no", level=level)
    assert annotations_of(status(annotations=[one])) == [
        {"path": "a/b.py", "start_line": 1, "end_line": 1, "annotation_level": shown,
         "message": "no"}
    ]  # fmt: skip


@pytest.mark.parametrize("file", ["", "/etc/passwd", "a//b", "../x", "a/../b", "x" * 1_001])
def test_what_has_no_place_in_the_repository_is_not_told(file):
    assert annotations_of(status(annotations=[Annotation(file=file, line=1, message="no")])) == []
    assert annotations_of(status(annotations=[Annotation(file="a", line=1, message=" ")])) == []
