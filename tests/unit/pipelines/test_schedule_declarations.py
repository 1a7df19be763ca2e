"""on.schedule(…) in a pipeline file, and what a plan is told by the Run of a schedule."""

import msgspec
import pytest
from staunch import schedules
from staunch.event import Event as PlanEvent

from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from pipelines.bundle import Bundle
from pipelines.event import Event, EventKind, Scheduled
from pipelines.events import GroupEntered, Parent
from pipelines.failure import Failure
from pipelines.schedule import (
    SCHEDULES_MAX,
    CatchUp,
    Overlap,
    Schedule,
    ScheduleRefused,
    schedules_of,
)
from tests.tenants import FILE, started

DUE = 1_000_090_800.0


def entry(top: str):
    source = f"from staunch import on\n{top}\nasync def run(event, step): ...\n"
    (found,) = TenantHost(NativeImage()).prepare(Bundle(files={FILE: source})).pipelines
    return found


def scheduled(**changes) -> Event:
    facts = {"name": "nightly", "cron": "0 3 * * *", "tz": "UTC", "due": DUE, "overlap": "skip"}
    schedule = Scheduled(**{**facts, **changes})
    return Event(kind=EventKind.SCHEDULE, ref="refs/heads/main", commit="a" * 40, schedule=schedule)


def begun(play, body: str, event: Event, top: str = "", **changes):
    run = play(body, top)
    return run, run.turn(msgspec.structs.replace(started(), event=event, **changes))


def test_what_was_declared_comes_to_the_host():
    found = entry(
        "on.schedule('0  3 * * 1-5', tz='Europe/Berlin', name='nightly', overlap='queue',"
        " catch_up='all', catch_up_limit=5, catch_up_window='2h')\n"
        "on.schedule('0 5 * * *')"
    )
    assert found.error is None
    assert schedules_of(found.triggers) == [
        Schedule(
            name="nightly",
            cron="0 3 * * 1-5",
            tz="Europe/Berlin",
            overlap=Overlap.QUEUE,
            catch_up=CatchUp.ALL,
            limit=5,
            window_s=7200.0,
            line=2,
        ),
        Schedule(name="0 5 * * *", cron="0 5 * * *", line=3),
    ]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("on.schedule('0 3 * *')", "has 4 fields; write five"),
        ("on.schedule('* * * * * *')", "has 6 fields; write five"),
        ("on.schedule(3)", "takes a cron expression"),
        ("on.schedule('')", "takes a cron expression"),
        ("on.schedule('0 3 * * *', overlap='both')", "one of skip, queue, cancel, allow"),
        ("on.schedule('0 3 * * *', catch_up=True)", "one of none, last, all"),
        ("on.schedule('0 3 * * *', catch_up_limit=0)", "from 1 to 100"),
        ("on.schedule('0 3 * * *', catch_up_limit=True)", "from 1 to 100"),
        ("on.schedule('0 3 * * *', catch_up_window='soon')", "catch_up_window 'soon'"),
        ("on.schedule('0 3 * * *', name='')", "name must be"),
        ("on.schedule('0 3 * * *', name=' a')", "name must be"),
        ("on.schedule('0 3 * * *', name='a\\nb')", "name must be"),
        ("on.schedule('0 3 * * *', tz=None)", "tz must be"),
    ],
)
def test_a_wrong_declaration_is_an_error_of_the_file_with_its_line(call, said):
    error = entry(call).error
    assert said in error.message
    assert (error.file, error.line) == (FILE, 2)


def test_too_many_schedules_and_two_of_one_name_are_refused():
    many = "\n".join(f"on.schedule('0 3 * * *', name='n{n}')" for n in range(SCHEDULES_MAX + 1))
    with pytest.raises(ScheduleRefused, match="at most 20") as refused:
        schedules_of(entry(many).triggers)
    assert refused.value.line == SCHEDULES_MAX + 2
    with pytest.raises(ScheduleRefused, match="two schedules '0 3"):
        schedules_of(entry("on.schedule('0 3 * * *')\non.schedule('0 3 * * *')").triggers)


@pytest.mark.parametrize("bent", [{"cron": 3}, {"overlap": "x"}, {"name": None}, {"window_s": "x"}])
def test_a_declaration_that_a_plan_has_bent_is_refused(bent):
    (one,) = entry("on.schedule('0 3 * * *')").triggers
    with pytest.raises(ScheduleRefused, match="cannot be read"):
        schedules_of([one | bent])


def test_a_plan_reads_its_schedule(play):
    body = "e = event.schedule\nreturn [event.kind, event.branch, e.name, e.cron, e.tz, e.due]"
    _, outcome = begun(play, body, scheduled())
    assert outcome.end.output == ["schedule", "main", "nightly", "0 3 * * *", "UTC", DUE]


def test_any_other_event_has_none(play):
    assert play("return event.schedule is None").start().end.output is True


@pytest.mark.parametrize(("overlap", "policy"), [("queue", "queue"), ("cancel", "cancel")])
def test_its_overlap_is_kept_by_a_group_of_the_schedules_own(play, overlap, policy):
    run, waiting = begun(play, "return 1", scheduled(overlap=overlap))
    group = waiting.open.group
    assert (group.key, group.policy) == ("schedule pipeline/nightly", policy)
    assert run.turn(GroupEntered(key=group.key)).end.output == 1


@pytest.mark.parametrize("overlap", ["skip", "allow"])
def test_what_the_host_has_decided_needs_no_group(play, overlap):
    _, outcome = begun(play, "return 1", scheduled(overlap=overlap))
    assert outcome.end.output == 1


def test_the_pipelines_own_group_comes_first(play):
    top = "on.concurrency('mine', policy='reject')"
    _, waiting = begun(play, "return 1", scheduled(overlap="queue"), top)
    assert waiting.open.group.key == "mine"


def test_what_a_scheduled_run_calls_is_not_itself_scheduled(play):
    parent = Parent(run="0-aaaaaaaaaaaaaaaaaaaa", key="call")
    _, outcome = begun(play, "return 1", scheduled(overlap="queue"), parent=parent)
    assert outcome.end.output == 1


def test_a_fault_that_the_host_found_ends_the_run_before_its_plan(play):
    fault = Failure(type="ScheduleRefused", message="bad hour", file=FILE, line=3)
    run = play("print('never')")
    outcome = run.turn(msgspec.structs.replace(started(), fault=fault))
    assert (outcome.end.state, outcome.end.error, outcome.printed) == ("failed", fault, "")


def test_the_words_of_both_sides_are_the_same():
    assert set(schedules.GROUP_POLICIES) < {str(one) for one in Overlap}
    told = msgspec.to_builtins(msgspec.structs.replace(started(), event=scheduled()))
    assert vars_of(PlanEvent.of(told).schedule) == msgspec.to_builtins(scheduled().schedule)


def vars_of(record) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}
