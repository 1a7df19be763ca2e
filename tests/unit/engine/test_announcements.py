"""What a Turn tells programs outside, and that it is told once, in order, of every Run."""

import msgspec
import pytest

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.engine.announcements import announcements_of
from ci_host.engine.statuses import StatusReporter
from ci_host.ports import TurnNews, Unavailable
from pipelines.announcement import Announcement, AnnouncementKind, Subscription
from pipelines.commands import Command, GateTerms, Result, StepKind, StepState
from pipelines.events import Parent
from pipelines.failure import Failure
from pipelines.run import RunState
from pipelines.turn import End, Paused
from tests.contract.test_history_store import RUN, first, turn
from tests.unit.engine.test_status_reporter import Feed, Outbox, Told

pytestmark = pytest.mark.anyio

BROKEN = Failure(type="JobFailed", message="exit code 1", file="p.py", line=7, step="test")


def told(number: int, **changes) -> list[Announcement]:
    changed = msgspec.structs.replace(turn(number), **changes)
    return list(announcements_of(first(), changed, "https://ci.test"))


def result(kind: StepKind, state: StepState, **more) -> Result:
    return Result(kind=kind, key="test", state=state, **more)


def test_the_first_turn_tells_that_the_run_began_and_whose_it_is():
    (one,) = told(1)
    assert (one.kind, one.id) == (AnnouncementKind.RUN_STARTED, f"{RUN}.1.0")
    assert one.data["url"] == f"https://ci.test/runs/{RUN}"
    wanted = {"run", "url", "repo", "repo_name", "pipeline", "commit", "ref", "event", "attempt"}
    assert set(one.data) == wanted


def test_a_failed_step_a_gate_and_the_end_are_told_in_that_order():
    gate = Command(
        kind=StepKind.GATE, key="ship", fingerprint="f", gate=GateTerms(approvers=["ada"], needed=2)
    )
    end = End(state=RunState.FAILED, error=BROKEN)
    failed = result(StepKind.JOB, StepState.FAILED, error=BROKEN)
    found = told(3, results=[failed], commands=[gate], end=end, state=RunState.FAILED)
    assert [(one.kind, one.number) for one in found] == [
        (AnnouncementKind.STEP_FAILED, 0),
        (AnnouncementKind.GATE_WAITING, 1),
        (AnnouncementKind.RUN_FINISHED, 2),
    ]
    assert found[0].data["error"] == {
        "type": "JobFailed",
        "message": "exit code 1",
        "where": "p.py:7",
    }
    assert (found[1].data["gate"], found[1].data["needed"]) == ("ship", 2)
    assert found[2].data["state"] == "failed"


@pytest.mark.parametrize(
    ("settled", "kinds"),
    [
        (result(StepKind.JOB, StepState.SUCCEEDED), []),
        (result(StepKind.JOB, StepState.RETRYING, error=BROKEN), []),
        (result(StepKind.JOB, StepState.FAILED, error=BROKEN, recalled_from="r"), []),
        (result(StepKind.DO, StepState.TIMED_OUT, error=BROKEN), [AnnouncementKind.STEP_FAILED]),
        (
            result(StepKind.GATE, StepState.SUCCEEDED, value={"by": ["ada"]}),
            [AnnouncementKind.GATE_ANSWERED],
        ),
        (
            result(StepKind.GATE, StepState.FAILED, error=BROKEN),
            [AnnouncementKind.GATE_ANSWERED],
        ),
        (result(StepKind.SLEEP, StepState.SUCCEEDED), []),
        (result(StepKind.GATE, StepState.CANCELLED), []),
        (result(StepKind.GATE, StepState.SUCCEEDED, value={"by": []}, recalled_from="r"), []),
    ],
    ids=[
        "job-ok",
        "retrying",
        "recalled",
        "timed-out",
        "opened",
        "rejected",
        "slept",
        "cancelled",
        "recalled-gate",
    ],
)
def test_only_what_somebody_would_want_to_hear_is_told(settled, kinds):
    assert [one.kind for one in told(2, results=[settled])] == kinds


def test_what_a_gate_was_answered_with_is_not_told_beyond_who_did():
    value = {"by": ["ada"], "inputs": {"percent": 10}, "comment": "no secret of ours"}
    (one,) = told(2, results=[result(StepKind.GATE, StepState.SUCCEEDED, value=value)])
    assert one.data["by"] == ["ada"]
    assert "no secret" not in str(one.data)


def test_a_pause_is_told_with_who_asked_for_it():
    (one,) = told(2, paused=Paused(by="ada", since=1.0, reason="a freeze"))
    assert (one.kind, one.data["by"], one.data["reason"]) == ("run.paused", "ada", "a freeze")


class Kept:
    """See Announcements: fails as often as it was told to."""

    def __init__(self, fails: int = 0) -> None:
        self.fails, self.ids = fails, []

    async def put(self, one: Announcement) -> None:
        if self.fails:
            self.fails -= 1
            raise Unavailable("it is away")
        self.ids.append(one.id)


async def test_what_the_store_does_not_take_is_told_again_and_nothing_overtakes_it(monkeypatch):
    monkeypatch.setattr("ci_host.engine.statuses.OUTBOX_RETRY_S", 0.0)
    history, kept = MemoryHistory(), Kept(fails=3)
    await history.create(RUN, first())
    end = msgspec.structs.replace(
        turn(2), state=RunState.SUCCEEDED, end=End(state=RunState.SUCCEEDED)
    )
    feed = Feed([Told(TurnNews(RUN, one)) for one in (turn(1), end)])
    await StatusReporter(feed, history, Outbox(), "http://ci", lambda _: False, None, kept).serve()  # type: ignore[arg-type]
    assert kept.ids == [f"{RUN}.1.0", f"{RUN}.2.0"]


async def test_of_a_child_the_forge_hears_nothing_and_programs_do():
    history, kept, outbox = MemoryHistory(), Kept(), Outbox()
    child = msgspec.structs.replace(first(), parent=Parent(run="r", key="call", detached=False))
    await history.create(RUN, child)
    feed = Feed([Told(TurnNews(RUN, turn(1)))])
    await StatusReporter(feed, history, outbox, "http://ci", lambda _: False, None, kept).serve()
    assert (kept.ids, outbox.kept) == ([f"{RUN}.1.0"], [])


def test_a_subscription_wants_what_it_names_until_it_is_stopped_or_removed():
    (one,) = told(1)
    all_ = Subscription(id="s", url="https://x", secrets=["k"])
    assert all_.wants(one)
    change = msgspec.structs.replace
    assert change(all_, repos=[one.repo], kinds=[one.kind]).wants(one)
    for other in (
        {"repos": ["another"]},
        {"kinds": [AnnouncementKind.RUN_FINISHED]},
        {"stopped": "410"},
        {"removed": True},
    ):
        assert not change(all_, **other).wants(one)
