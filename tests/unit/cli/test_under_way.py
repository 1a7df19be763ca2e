"""What is under way, in rows, and which of them stand in a terminal that is too low for all."""

import re
from typing import Any

import pytest

from ci_host.cli.under_way import LINES_MAX, Row, fitting, rows_of
from tests.unit.cli.run_details import BEGAN, attempt, detail, step, wait

RUN, OTHER = "1-00000000000000000000", "2-00000000000000000000"


def job(key: str, phase: str = "running", **more: Any) -> dict[str, Any]:
    asked = {"attempt": 1, "phase": phase, "moving": None, "held": "", **more}
    return wait("job", key, **asked)


def told(*runs: dict[str, Any]) -> list[str]:
    """The rows as they are read, 65 seconds after the beginning."""
    rows = rows_of({run["id"]: run for run in runs}, BEGAN + 65)
    return [re.sub(r"\[/?[a-z ]*\]", "", f"{'  ' * row.depth}{row.words}") for row in rows]


def test_each_thing_says_what_it_is_and_for_how_long() -> None:
    waiting = [
        job("later", "queued", held="2 before it"),
        wait("sleep", "soak", words="sleep soak", until=BEGAN + 7_265),
        job("unit", since=BEGAN + 60),
        job("unit 2", "ending", attempt=3),
        job("fetch", moving={"words": "cache: 1 of 2 MB"}),
        job("broken", "standby", words="a terminal in job broken", until=BEGAN + 125),
        job("done", "reported"),
    ]
    over = [step("a", finished_at=BEGAN), step("b", finished_at=BEGAN)]
    run = detail(RUN, waiting=waiting, steps=[*over, step("unit")], note={"words": "3 of 10"})
    assert told(run) == [
        "running pipeline 1m05s · 2 steps done · 3 of 10",
        "  running unit 5s",
        "  running fetch 1m05s · cache: 1 of 2 MB",
        "  ending unit 2 #3 1m05s",
        "  waiting for sleep soak 1m05s, 2h00m left",
        "  waiting for a terminal in job broken 1m05s, 1m00s left",
        "  ended done 1m05s",
        "  queued later 1m05s · 2 before it",
    ]


def test_what_a_run_waits_for_in_another_stands_below() -> None:
    call = wait("call", "now", words=f"run {OTHER} of step now", run=OTHER)
    caller = detail(RUN, waiting=[call, job("unit")])
    called = detail(OTHER, pipeline="side", waiting=[job("aside")])
    assert told(caller, called) == [
        "running pipeline 1m05s",
        "  running unit 1m05s",
        f"  waiting for run {OTHER} of step now 1m05s",
        "    running side 1m05s",
        "      running aside 1m05s",
    ]
    # One that was only begun, or whose caller is over, stands for itself.
    assert told(caller | {"finished_at": BEGAN}, called)[0] == "running side 1m05s"
    assert told(caller | {"finished_at": BEGAN}, called | {"finished_at": BEGAN}) == []


def test_a_row_names_the_job_whose_log_stands_below_it() -> None:
    found = [attempt("unit", attempt=1), attempt("unit", attempt=2)]
    run = detail(RUN, waiting=[job("unit", attempt=2), job("next", "queued")], attempts=found)
    jobs = [row.job for row in rows_of({RUN: run}, BEGAN)]
    assert jobs == ["", found[1]["job"], ""]


def rows(*, running: int, queued: int = 0) -> list[Row]:
    head = [Row(0, "running", "the run")]
    busy = [Row(1, "running", f"busy {number}", f"job {number}") for number in range(running)]
    return [*head, *busy, *(Row(1, "queued", f"later {number}") for number in range(queued))]


def height_of(given: list[Row], height: int) -> int:
    found = fitting(given, height)
    lines = sum(1 + (found.tail_lines if row.job else 0) for row in found.rows)
    return lines + bool(found.left_out)


@pytest.mark.parametrize("height", [1, 6, 7, 8, 12, 24, 200])
@pytest.mark.parametrize(
    "given",
    [
        *(rows(running=count) for count in (0, 1, 2, 4, 7, 8, 100)),
        *(rows(running=2, queued=count) for count in (1, 3, 4, 200)),
    ],
    ids=lambda given: f"{len(given)}",
)
def test_it_never_takes_more_lines_than_there_are(given: list[Row], height: int) -> None:
    room = max(2, min(LINES_MAX, height - 4))
    assert 1 <= height_of(given, height) <= room


def test_few_jobs_have_more_of_their_logs_and_many_are_counted() -> None:
    assert fitting(rows(running=2), 24).tail_lines == 3
    assert fitting(rows(running=7), 24).tail_lines == 1
    assert len(fitting(rows(running=7), 24).rows) == 8
    many = fitting(rows(running=48), 24)
    assert (len(many.rows), many.tail_lines) == (8, 1)
    assert many.left_out == "… and 41 more running"
    assert fitting(rows(running=48, queued=5), 24).left_out == (
        "… and 46 more: 41 running, 5 queued"
    )


def test_of_those_that_queue_only_the_first_stand_there() -> None:
    found = fitting(rows(running=1, queued=9), 24)
    assert [row.words for row in found.rows][2:] == ["later 0", "later 1", "later 2"]
    assert found.left_out == "… and 6 more queued"
    assert fitting(rows(running=1, queued=3), 24).left_out == ""
