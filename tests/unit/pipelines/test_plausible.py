"""What a bent guest may answer, and how it is found before anything is committed."""

import pytest

from pipelines.commands import (
    CallRequest,
    Command,
    GateTerms,
    Open,
    OpenCall,
    OpenGate,
    OpenGroup,
    OpenJob,
    OpenPause,
    OpenWait,
    Result,
    StepKind,
    StepState,
)
from pipelines.group import GroupPolicy
from pipelines.history import HistoryView
from pipelines.job import JobRequest
from pipelines.plausible import (
    ATTEMPTS_MAX,
    CALLS_DEPTH_MAX,
    CALLS_TURN_MAX,
    GROUP_CHARS_MAX,
    KEY_CHARS_MAX,
    MOMENT_MAX,
    implausible,
)
from pipelines.run import RunState
from pipelines.turn import End, TurnOutcome

NOW = 1_000.0
REQUEST = JobRequest(steps=[])
CALL = CallRequest(pipeline="b", file=".staunch/b.py")
JOB = Command(kind=StepKind.JOB, key="unit", fingerprint="f", request=REQUEST)
CALLED = Command(kind=StepKind.CALL, key="b", fingerprint="f", call=CALL)
GROUP = OpenGroup(key="prod", policy=GroupPolicy.QUEUE)


def told(
    *commands: Command, view: HistoryView | None = None, now: float = NOW, **parts: object
) -> str | None:
    outcome = TurnOutcome(now=now, digest="d", commands=list(commands), **parts)  # type: ignore[arg-type]
    return implausible(view or HistoryView(), outcome, [NOW])


def command(kind: StepKind = StepKind.DO, **parts: object) -> Command:
    return Command(**{"kind": kind, "key": "a", "fingerprint": "f", **parts})  # type: ignore[arg-type]


def test_what_an_honest_driver_answers_passes() -> None:
    assert told() is None
    assert told(JOB, open=Open(jobs=[OpenJob(key="unit", attempt=1)])) is None
    assert told(CALLED, open=Open(calls=[OpenCall(key="b")], group=GROUP)) is None
    assert told(command(StepKind.SLEEP, due=MOMENT_MAX), wake_at=MOMENT_MAX) is None
    assert told(command(StepKind.JOB)) is None, "a recalled job asks for nothing"
    earlier = HistoryView(requests={("unit", 2): REQUEST}, calls={"b": CALL})
    wanted = Open(jobs=[OpenJob(key="unit", attempt=2)], calls=[OpenCall(key="b")])
    assert told(view=earlier, open=wanted) is None


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        ({"open": Open(jobs=[OpenJob(key="unit", attempt=2)])}, "job 'unit', which it never began"),
        ({"open": Open(calls=[OpenCall(key="c")])}, "call 'c', which it never began"),
        ({"wake_at": 1e300}, "waits until 1e+300"),
        ({"wake_at": -1.0}, "waits until -1.0"),
        ({"open": Open(waits=[OpenWait(key="w", name="w", due=1e300)])}, "waits until"),
        ({"open": Open(gates=[OpenGate(key="g", terms=GateTerms(due=-1.0))])}, "waits until"),
        ({"open": Open(pauses=[OpenPause(key="p", attempt=2, due=1e300)])}, "waits until"),
        ({"now": NOW + 1.0}, "it says that it is 1001.0"),
        ({"now": float("inf")}, "it says that it is inf"),
        ({"end": End(state=RunState.RUNNING)}, "it ended as running"),
        (
            {"open": Open(group=OpenGroup(key="x" * (GROUP_CHARS_MAX + 1), policy="queue"))},
            "group's name has 257",
        ),
    ],
)
def test_what_cannot_be_carried_out_is_found(outcome: dict[str, object], says: str) -> None:
    found = told(JOB, **outcome)  # type: ignore[arg-type]
    assert found is not None
    assert says in found


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"key": ""}, "has 0 characters"),
        ({"key": "x" * (KEY_CHARS_MAX + 1)}, "has 8193 characters"),
        ({"attempt": 0}, "has attempt 0"),
        ({"attempt": ATTEMPTS_MAX + 1}, "has attempt 1000001"),
        ({"due": 1e300}, "waits until 1e+300"),
        ({"request": REQUEST}, "asks something of a runner"),
        ({"call": CALL}, "calls a pipeline"),
        (
            {"kind": StepKind.JOB, "request": JobRequest(steps=[], pool="a b\r\nPUB x")},
            "which cannot be",
        ),
        ({"kind": StepKind.JOB, "request": JobRequest(steps=[], pool="*")}, "which cannot be"),
        (
            {"kind": StepKind.JOB, "request": JobRequest(steps=[], env={"A": "x" * 7_500_000})},
            "asks a runner for 7,500,",
        ),
    ],
)
def test_a_command_that_cannot_be_is_found(parts: dict[str, object], says: str) -> None:
    found = told(command(**parts))  # type: ignore[arg-type]
    assert found is not None
    assert says in found


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({"kind": StepKind.CALL, "value": None}, "names no run"),
        ({"kind": StepKind.CALL, "value": {"run": {}}}, "names no run"),
        ({"kind": StepKind.GATE, "value": None}, "is no answer"),
        ({"kind": StepKind.GATE, "value": {"by": [1]}}, "is no answer"),
        ({"kind": StepKind.GATE, "value": {"by": [], "comment": 5}}, "is no answer"),
        ({"kind": StepKind.DO, "attempt": 2**63}, "has attempt"),
        ({"kind": StepKind.DO, "key": "x" * (KEY_CHARS_MAX + 1)}, "8193 characters"),
    ],
)
def test_a_result_that_nobody_could_show_is_found(result: dict[str, object], says: str) -> None:
    parts = {"key": "a", "state": StepState.SUCCEEDED, **result}
    found = told(results=[Result(**parts)])  # type: ignore[arg-type]
    assert found is not None
    assert says in found


OVER = End(state=RunState.SUCCEEDED)


@pytest.mark.parametrize(
    "outcome",
    [
        {"wake_at": NOW},
        {"open": Open(jobs=[OpenJob(key="unit", attempt=1)])},
        {"open": Open(calls=[OpenCall(key="b")])},
        {"open": Open(group=GROUP)},
        {"open": Open(waits=[OpenWait(key="w", name="w")])},
        {"open": Open(gates=[OpenGate(key="g", terms=GateTerms())])},
    ],
)
def test_a_run_that_is_over_wants_nothing_more(outcome: dict[str, object]) -> None:
    found = told(JOB, CALLED, end=OVER, **outcome)  # type: ignore[arg-type]
    assert found == "it is over, and still wants something"


def test_what_ends_with_a_run_may_be_wanted_by_it() -> None:
    wanted = Open(
        jobs=[OpenJob(key="unit", attempt=1, cancelling=True)],
        calls=[OpenCall(key="b", detached=True)],
        group=OpenGroup(key="prod", policy=GroupPolicy.QUEUE, entered=True, leaving=True),
    )
    assert told(JOB, CALLED, end=OVER, open=wanted) is None


def test_calls_are_bounded_in_depth_number_and_place() -> None:
    deep = TurnOutcome(now=NOW, digest="d", commands=[CALLED])
    assert implausible(HistoryView(), deep, [NOW], depth=CALLS_DEPTH_MAX - 1) is None
    assert "calls deep" in (implausible(HistoryView(), deep, [NOW], depth=CALLS_DEPTH_MAX) or "")
    assert "pipelines at once" in (told(*[CALLED] * (CALLS_TURN_MAX + 1)) or "")
    other = CallRequest(pipeline="deploy", file=".staunch/evil.py")
    assert "in the file" in (told(command(StepKind.CALL, call=other)) or "")


def test_a_run_cannot_slip_out_of_its_group() -> None:
    before = HistoryView(open=Open(group=GROUP))
    other = OpenGroup(key="other", policy=GroupPolicy.QUEUE)
    assert told(view=before, open=Open(group=GROUP)) is None
    assert "forgot its concurrency group 'prod'" in (told(view=before) or "")
    assert "forgot" in (told(view=before, open=Open(group=other)) or "")
