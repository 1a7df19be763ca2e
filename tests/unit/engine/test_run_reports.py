"""What the jobs of a Run say on its commit: which annotations, and the summary."""

import msgspec
import pytest

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.engine.run_reports import RunReport, run_report
from ci_host.engine.statuses import StatusReporter, statuses_of, waits_of
from ci_host.ports import Damaged, StoredInput, TurnNews
from pipelines.commands import (
    Command,
    GateTerms,
    Open,
    OpenCall,
    OpenGate,
    OpenJob,
    Result,
    StepKind,
    StepState,
)
from pipelines.continuation import Continues
from pipelines.events import JobFinished
from pipelines.failure import Failure
from pipelines.ids import job_id
from pipelines.job import Annotation, Outcome
from pipelines.run import RunState
from pipelines.status import (
    ANNOTATIONS_BYTES_MAX,
    ANNOTATIONS_MAX,
    SUMMARY_BYTES_MAX,
    Standing,
    Status,
    cut,
)
from pipelines.turn import End, Turn
from tests.contract.test_history_store import RUN, first, turn
from tests.unit.engine.test_status_reporter import Feed, Outbox, Told

pytestmark = pytest.mark.anyio

PAGE = "http://ci/runs/1"


def note(line: int = 1, level: str = "error", message: str = "no") -> Annotation:
    return Annotation(file="a.py", line=line, message=message, level=level)


def finished(key: str = "unit", attempt: int = 1, **changes) -> JobFinished:
    facts = {"outcome": Outcome.SUCCEEDED, "started_at": 10.0, "finished_at": 12.5}
    job = job_id(RUN, key, attempt)
    return JobFinished(job=job, key=key, attempt=attempt, **{**facts, **changes})


def check(*reports: JobFinished, through: int = 100) -> RunReport:
    inputs = [StoredInput(1, 5.0, first())]
    inputs += [StoredInput(n, 6.0, report) for n, report in enumerate(reports, 2)]
    return run_report(inputs, turn(9, through), "succeeded", PAGE)


def test_of_a_job_that_was_tried_again_the_last_attempt_counts() -> None:
    lost = finished(outcome=Outcome.FAILED, annotations=[note(1)], message="exit code 1")
    good = finished(attempt=2, annotations=[note(2, "warning")], summary="all is well")
    # The report of the first one comes late.
    for reports in ([lost, good], [good, lost]):
        report = check(*reports)
        assert [one.line for one in report.annotations] == [2]
        assert "| `unit` | succeeded in attempt 2 | 2.5 s |" in report.summary
        assert "### unit\n\nall is well" in report.summary


def test_what_no_turn_has_taken_in_is_not_told() -> None:
    assert check(finished(annotations=[note()]), through=1).annotations == []


def test_the_gravest_annotations_are_told_first_and_no_more_than_the_limit() -> None:
    many = [note(n, "notice") for n in range(ANNOTATIONS_MAX)]
    report = check(finished(annotations=many), finished("lint", annotations=[note(7), note(8)]))
    assert [one.line for one in report.annotations[:2]] == [7, 8]
    assert len(report.annotations) == ANNOTATIONS_MAX
    assert f"Of {ANNOTATIONS_MAX + 2} annotations the {ANNOTATIONS_MAX} gravest" in report.summary
    exact = check(finished(annotations=many))
    assert len(exact.annotations) == ANNOTATIONS_MAX and "gravest" not in exact.summary


def test_a_status_fits_into_a_message_whatever_jobs_write() -> None:
    long = [note(message="ü" * 2_000) for _ in range(ANNOTATIONS_MAX)]
    reports = [
        finished(f"j{n}", outcome=Outcome.FAILED, annotations=long, message="x|`\n" * 9_000,
                 summary="# ü\n" * 20_000)
        for n in range(300)
    ]  # fmt: skip
    report = check(*reports)
    assert 0 < len(report.annotations) < ANNOTATIONS_MAX
    assert len(msgspec.json.encode(report.annotations)) <= ANNOTATIONS_BYTES_MAX + 2
    assert len(report.summary.encode()) <= SUMMARY_BYTES_MAX
    assert report.summary.endswith(f"… and more. [All of this run]({PAGE})")


def test_a_run_without_jobs_says_how_it_ended_and_where_all_is() -> None:
    assert check().summary == f"succeeded\n\n[All of this run]({PAGE})"
    assert check().began_at == 5.0


def test_what_a_job_is_called_stays_in_its_cell() -> None:
    key = "a`b|c\n| d |"
    row = check(finished(key)).summary.splitlines()[4]
    assert row == "| `a'b\\|c \\| d \\|` | succeeded | 2.5 s |"


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("short", 5, "short"),
        ("one\ntwo three four five\n" * 9, 50, "one\ntwo three four five\none\n\nMORE"),
        ("```\n" + "code\n" * 99, 40, "```\ncode\ncode\ncode\ncode\ncode\n```\n\nMORE"),
        ("é" * 50, 31, "é" * 10 + "\n\nMORE"),
    ],
    ids=["fits", "at a line", "in a block of code", "in the middle of a character"],
)
def test_a_text_is_cut_cleanly(text: str, most: int, kept: str) -> None:
    assert cut(text, most, "MORE") == kept
    assert len(kept.encode()) <= most


# What Statuses say of it.


def ended(state: RunState, error: Failure | None = None) -> Turn:
    end = End(state=state, error=error)
    return msgspec.structs.replace(turn(3), state=state, end=end)


def last(turn_: Turn) -> Status:
    (status,) = statuses_of(first(), turn_, "http://ci")
    return status


@pytest.mark.parametrize(
    ("turn_", "standing", "state"),
    [
        (ended(RunState.SUCCEEDED), Standing.SUCCEEDED, "success"),
        (ended(RunState.CANCELLED), Standing.CANCELLED, "error"),
        (ended(RunState.FAILED, Failure(type="JobFailed", message="m", step="a")),
         Standing.FAILED, "failure"),
        (ended(RunState.FAILED, Failure(type="KeyError", message="m")), Standing.ERRORED, "error"),
        (ended(RunState.FAILED, Failure(type="RunTimedOut", message="m")),
         Standing.TIMED_OUT, "error"),
        (ended(RunState.FAILED, Failure(type="GateTimedOut", message="m", step="g")),
         Standing.TIMED_OUT, "failure"),
    ],
    ids=["succeeded", "cancelled", "failed", "errored", "timed out", "a gate timed out"],
)  # fmt: skip
def test_a_run_that_is_over_says_how_and_that_it_is(turn_, standing, state) -> None:
    status = last(turn_)
    assert (status.standing, status.state, status.is_last) == (standing, state, True)
    assert status.run == RUN


def test_a_gate_waits_for_people_and_says_how_to_answer_it() -> None:
    terms = GateTerms(approvers=["@ops"], message="Look at **staging** first.")
    gate = Command(kind=StepKind.GATE, key="go live", fingerprint="f", gate=terms)
    status = last(msgspec.structs.replace(turn(2), commands=[gate]))
    assert (status.standing, status.is_last) == (Standing.WAITING, False)
    assert status.summary.startswith("Look at **staging** first.")
    assert f"staunch approve {RUN} 'go live'" in status.summary
    assert f"(http://ci/runs/{RUN})" in status.summary


@pytest.mark.parametrize(
    "state", [StepState.SUCCEEDED, StepState.FAILED, StepState.TIMED_OUT, StepState.CANCELLED]
)
def test_a_gate_that_is_answered_or_closed_says_how(state: StepState) -> None:
    result = Result(kind=StepKind.GATE, key="go", state=state, value={"by": ["ada"]})
    status = last(msgspec.structs.replace(turn(2), results=[result]))
    assert status.standing == str(state) and not status.is_last


def test_a_run_that_goes_on_as_others_is_one_check_under_the_name_of_the_first() -> None:
    later = msgspec.structs.replace(first(), continues=Continues(of="b", first="a", number=2))
    (status,) = statuses_of(later, ended(RunState.SUCCEEDED), "")
    assert status.run == "a"


def gates_open(*keys: str, **more) -> Turn:
    gates = [OpenGate(key=key, terms=GateTerms()) for key in keys]
    return msgspec.structs.replace(turn(2), open=Open(gates=gates, **more))


ANSWERED = Result(kind=StepKind.GATE, key="go", state=StepState.SUCCEEDED, value={"by": ["ada"]})
JOB = [OpenJob(key="unit", attempt=1)]


@pytest.mark.parametrize(
    ("turn_", "standings"),
    [
        (gates_open("go", "qa"), [Standing.WAITING]),
        (gates_open("go", jobs=JOB), [Standing.RUNNING]),
        (gates_open("go", calls=[OpenCall(key="c", detached=True)]), [Standing.WAITING]),
        (msgspec.structs.replace(turn(3), results=[ANSWERED]), [Standing.RUNNING]),
        (msgspec.structs.replace(gates_open("qa"), results=[ANSWERED]), [Standing.WAITING]),
        (turn(2), []),
        (msgspec.structs.replace(ended(RunState.SUCCEEDED), results=[ANSWERED]), []),
    ],
    ids=["only people", "a job too", "a run of its own too", "answered", "one is left", "no gate",
         "over"],
)  # fmt: skip
def test_a_run_that_waits_for_nothing_but_people_says_so(turn_, standings) -> None:
    told = list(waits_of(first(), turn_, "http://ci"))
    assert [one.standing for one in told] == standings
    assert {(one.state, one.context) for one in told} <= {("pending", "staunch/pipeline")}


def test_what_a_run_says_in_one_turn_are_two_statuses_and_not_one() -> None:
    begins = msgspec.structs.replace(gates_open("go"), number=1)
    both = [*statuses_of(first(), begins, ""), *waits_of(first(), begins, "")]
    assert [one.standing for one in both] == [Standing.RUNNING, Standing.WAITING]
    assert len({one.id for one in both}) == 2 and both[1].description == "waits at go"


async def test_only_forges_that_show_reports_hear_what_a_run_waits_for() -> None:
    for shows, count in ((True, 1), (False, 0)):
        history, outbox = MemoryHistory(), Outbox()
        await history.create(RUN, first())
        feed = Feed([Told(TurnNews(RUN, gates_open("go")))])
        await StatusReporter(feed, history, outbox, "", lambda _, s=shows: s).serve()
        assert len(outbox.kept) == count


async def told(history: MemoryHistory, *, shows: bool) -> Status:
    """The last Status of a Run with a job that annotated something."""
    await history.create(RUN, first())
    sequence = await history.append_input(RUN, finished(annotations=[note()]))
    over = msgspec.structs.replace(ended(RunState.SUCCEEDED), through=sequence)
    outbox, news = Outbox(), Told(TurnNews(RUN, over))
    await StatusReporter(Feed([news]), history, outbox, "http://ci", lambda _: shows).serve()
    (status,) = outbox.kept
    return status


async def test_the_last_status_has_what_the_jobs_said_where_the_forge_shows_it() -> None:
    shown = await told(MemoryHistory(), shows=True)
    assert shown.annotations == [note()] and "| `unit` |" in shown.summary and shown.began_at
    other = await told(MemoryHistory(), shows=False)
    assert (other.annotations, other.summary, other.id) == ([], "", shown.id)


class Lost(MemoryHistory):
    """A store that has lost a part of what the Run was told."""

    async def inputs_after(self, run, sequence):
        raise Damaged("an input is lost")


async def test_the_verdict_is_told_though_what_the_jobs_said_is_lost() -> None:
    status = await told(Lost(), shows=True)
    assert (status.state, status.annotations) == ("success", [])
