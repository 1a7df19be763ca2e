from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ci_host.adapters.sql.queries import RunDetail
from ci_host.adapters.sql.tables import AttemptRow, ProcessStartRow, RunRow, StepRow, TurnRow
from ci_host.web.timeline import Phase, Timeline, timeline

BEGAN = 1_000.0


def run_row(finished_at: float | None = None) -> RunRow:
    return RunRow(
        id="1-abc", repo="r", repo_name="r", connection="c", pipeline="p", file="f", bundle="b",
        event="push", ref="refs/heads/main", commit="c", state="running", created_at=BEGAN,
        finished_at=finished_at,
    )  # fmt: skip


def step(key: str, kind: str, begin: float, end: float | None = None, **facts) -> StepRow:
    state = facts.pop("state", "running" if end is None else "succeeded")
    return StepRow(
        run="1-abc", key=key, position=0, kind=kind, state=state, started_at=BEGAN + begin,
        finished_at=None if end is None else BEGAN + end, turn=1, **facts,
    )  # fmt: skip


def tried(key: str, number: int, *times: float | None, state: str = "succeeded") -> AttemptRow:
    queued, started, finished = (None if t is None else BEGAN + t for t in (*times, None, None)[:3])
    return AttemptRow(
        job=f"{key}.{number}", run="1-abc", key=key, attempt=number, state=state,
        queued_at=queued or 0.0, started_at=started, finished_at=finished, runner="a",
    )  # fmt: skip


def turn(number: int, at: float) -> TurnRow:
    return TurnRow(
        run="1-abc", number=number, at=BEGAN + at, by="e", sequence=number, inputs=1, commands=0,
        results=0,
    )  # fmt: skip


def check(steps, attempts=(), *, now=100.0, finished=None, starts=(), turns=()) -> Timeline:
    run = run_row(None if finished is None else BEGAN + finished)
    return timeline(RunDetail(run, steps, attempts, turns, [], starts), BEGAN + now)


def phases(line: Timeline, row: int = 0) -> list[tuple[str, float, float]]:
    return [(s.phase.value, s.begin - BEGAN, s.end - BEGAN) for s in line.rows[row].segments]


def test_a_job_waits_for_its_runner_and_then_runs():
    line = check([step("unit", "job", 0, 10)], [tried("unit", 1, 0, 2, 10)], finished=10)
    assert phases(line) == [("queued", 0, 2), ("running", 2, 10)]
    assert line.rows[0].segments[1].note == "attempt 1 on a"


def test_a_second_attempt_follows_after_backing_off():
    attempts = [tried("unit", 2, 8, 9, 12), tried("unit", 1, 0, 1, 3, state="lost")]
    line = check([step("unit", "job", 0, 12)], attempts, finished=12)
    assert [name for name, _, _ in phases(line)] == [
        "queued", "running", "backing_off", "queued", "running"
    ]  # fmt: skip
    assert phases(line)[2] == ("backing_off", 3, 8)
    assert line.rows[0].segments[1].outcome == "lost"


def test_a_step_that_is_retrying_backs_off_until_now():
    line = check(
        [step("unit", "job", 0, state="retrying")], [tried("unit", 1, 0, 1, 3, state="failed")]
    )
    assert phases(line)[-1] == ("backing_off", 3, 100)
    assert line.rows[0].segments[-1].is_open


def test_a_result_that_the_engine_has_not_seen_waits_for_the_engine():
    line = check([step("unit", "job", 0)], [tried("unit", 1, 0, 1, 3)])
    assert phases(line)[-1] == ("deciding", 3, 100)


def test_what_a_turn_takes_anyway_is_no_segment():
    line = check([step("unit", "job", 0, 3.01)], [tried("unit", 1, 0, 1, 3)], finished=4)
    assert [name for name, _, _ in phases(line)] == ["queued", "running"]


def test_gates_sleeps_waits_and_code_have_a_phase_each():
    kinds = ["gate", "sleep", "wait", "do"]
    line = check([step(kind, kind, 1, 2) for kind in kinds], finished=5)
    assert [row.segments[0].phase for row in line.rows] == [
        Phase.GATE, Phase.SLEEPING, Phase.SIGNAL, Phase.RUNNING
    ]  # fmt: skip


def test_a_claim_that_was_folded_before_its_turn_has_no_time_in_the_queue():
    attempt = AttemptRow(
        job="j", run="1-abc", key="unit", attempt=1, state="running", started_at=BEGAN + 2
    )
    assert phases(check([step("unit", "job", 1)], [attempt])) == [
        ("queued", 2, 2), ("running", 2, 100)
    ]  # fmt: skip


def test_processes_that_came_back_together_are_one_mark_with_the_turn_after():
    starts = [
        ProcessStartRow(role="host", incarnation="h", at=BEGAN + 5),
        ProcessStartRow(role="engine", incarnation="e", at=BEGAN + 6),
        ProcessStartRow(role="host", incarnation="i", at=BEGAN + 50),
    ]
    line = check([], starts=starts, turns=[turn(1, 1), turn(2, 7), turn(3, 60)])
    assert [(mark.at - BEGAN, mark.label) for mark in line.marks] == [
        (5, "host and engine restarted, resumed at turn 2"),
        (50, "host restarted"),
    ]


def test_a_mark_says_at_which_step_the_run_went_on():
    starts = [ProcessStartRow(role="engine", incarnation="e", at=BEGAN + 6)]
    found = check([step("unit", "job", 0, 7)], starts=starts, turns=[turn(1, 1), turn(2, 7)])
    assert found.marks[0].label == "engine restarted, resumed at unit, turn 2"
    tries = [tried("unit", 1, 0, 1, 2), tried("unit", 2, 8)]
    found = check([step("unit", "job", 0)], tries, starts=starts, turns=[turn(1, 1), turn(3, 8)])
    assert found.marks[0].label == "engine restarted, resumed at unit, turn 3"


def test_an_engine_that_was_not_needed_since_resumed_nothing():
    starts = [ProcessStartRow(role="engine", incarnation="e", at=BEGAN + 6)]
    line = check([], starts=starts, turns=[turn(1, 1)])
    assert line.marks[0].label == "engine restarted"


TIMES = st.floats(-50, 200, allow_nan=False)
MAYBE = st.none() | TIMES


@st.composite
def stories(draw):
    """Rows as a broken clock, a lost message or a crash could leave them."""
    steps, attempts = [], []
    for number in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["job", "gate", "sleep", "wait", "do"]))
        state = draw(st.sampled_from(["running", "retrying", "succeeded", "failed"]))
        steps.append(step(f"s{number}", kind, draw(TIMES), draw(MAYBE), state=state))
        for attempt in range(1, draw(st.integers(0, 3)) + 1):
            attempts.append(tried(f"s{number}", attempt, draw(MAYBE), draw(MAYBE), draw(MAYBE)))
    return steps, attempts, draw(MAYBE), draw(TIMES)


@given(stories())
def test_segments_are_in_order_never_overlap_and_lie_within_the_run(story):
    steps, attempts, finished, now = story
    line = check(steps, attempts, now=now, finished=finished)
    assert line.begin <= line.end
    assert len(line.rows) == len(steps)
    for row in line.rows:
        for segment in row.segments:
            assert line.begin <= segment.begin <= segment.end <= line.end
            assert not segment.is_open or (line.is_open and segment.end == line.end)
        for one, following in pairwise(row.segments):
            assert one.end <= following.begin
