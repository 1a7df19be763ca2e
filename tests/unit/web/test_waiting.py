"""What a run waits for: every waiting run has an answer, with since when and until when."""

import msgspec
import pytest

from ci_host.adapters.sql import queries
from ci_host.api.waiting import waiting
from ci_host.cli.waits import waiting_lines
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
from pipelines.failure import Failure
from pipelines.group import GroupPolicy
from pipelines.job import JobRequest, Moving, Outcome, ShellStep
from pipelines.run import RunState
from pipelines.turn import End, Paused
from runners.ports import Heartbeat
from tests.web import visitor
from tests.web.world import Story, job

pytestmark = pytest.mark.anyio

TERMS = GateTerms(approvers=["@ops"], needed=2, due=1_900_000_000.0, barred=["bob"])


def check(world, story):
    """Everything the run waits for; the words without it being told twice."""
    detail = queries.run_detail(world.model, story.run)
    found = waiting(detail)
    assert all(set(one) >= {"kind", "key", "since", "until", "words"} for one in found)
    return found


def short(found):
    """(kind, words, until) of each."""
    return [(one["kind"], one["words"], one["until"]) for one in found]


def command(kind, key, **parts):
    """One wish."""
    return Command(kind=StepKind(kind), key=key, fingerprint="f", **parts)


async def test_a_run_that_no_engine_has_taken_waits_for_one(world):
    story = await Story(world, 1).begin()
    [one] = check(world, story)
    assert (one["kind"], one["words"]) == ("engine", "the engine, which has yet to begin it")
    assert one["since"] is not None


async def test_a_run_in_a_queue_waits_for_its_turn(world):
    story = await Story(world, 1).begin()
    group = OpenGroup(key="deploy-main", policy=GroupPolicy.QUEUE)
    await story.turn(wanted=Open(group=group))
    [one] = check(world, story)
    assert (one["kind"], one["group"]) == ("group", "deploy-main")
    assert one["words"] == "its turn in concurrency group deploy-main"


async def test_a_gate_says_who_has_answered_how_many_must_and_who_may(world):
    story = await Story(world, 1).begin()
    gate = OpenGate(key="deploy", terms=TERMS, approved_by=["ada"])
    await story.turn(command("gate", "deploy", gate=TERMS), wanted=Open(gates=[gate]))
    [one] = check(world, story)
    said = "gate deploy: 1 of 2 approvals (ada), @ops may answer, but not bob"
    assert (one["words"], one["until"]) == (said, TERMS.due)
    assert (one["approved_by"], one["needed"], one["approvers"]) == (["ada"], 2, ["@ops"])
    assert (one["inputs"], one["rules"], one["on_timeout"]) == ({}, {}, "raise")


async def test_a_job_is_queued_then_runs_then_has_reported(world):
    story = await Story(world, 1).begin()
    await story.turn(job("unit"), wanted=Open(jobs=[OpenJob(key="unit", attempt=1)]))
    [queued] = check(world, story)
    assert (queued["phase"], queued["words"]) == (
        "queued",
        "a runner of pool default for job unit",
    )
    story.later().claim("unit")
    [running] = check(world, story)
    assert (running["phase"], running["words"]) == (
        "running",
        "job unit, which runs on runner-a",
    )
    assert running["since"] > queued["since"]
    await story.later(3).finish("unit")
    [reported] = check(world, story)
    assert (reported["phase"], reported["words"]) == (
        "reported",
        "the engine, which has yet to hear how job unit ended",
    )


async def test_the_end_of_a_cancelled_job_is_waited_for(world):
    story = await Story(world, 1).begin()
    ending = OpenJob(key="unit", attempt=2, cancelling=True)
    await story.turn(job("unit", 2), wanted=Open(jobs=[ending]))
    [one] = check(world, story)
    assert one["words"] == "the end of job unit, attempt 2, which is cancelled"
    detail = queries.run_detail(world.model, story.run)
    assert detail.run.waiting_for == "the end of job unit"


async def test_signals_calls_and_retries_say_what_would_end_the_wait(world):
    story = await Story(world, 1).begin()
    await story.turn(job("unit"), wanted=Open(jobs=[OpenJob(key="unit", attempt=1)]))
    await story.later(3).finish("unit", Outcome.LOST)
    failure = Failure(type="JobFailed", message="lost", step="unit")
    lost = Result(kind=StepKind.JOB, key="unit", state=StepState.RETRYING, error=failure)
    asked = CallRequest(pipeline="child", file=".staunch/child.py")
    await story.turn(
        command("wait", "answer", signal="yes", signals=["yes", "no"]),
        command("call", "below", call=asked),
        results=[lost],
        wanted=Open(
            waits=[OpenWait(key="answer", name="yes", names=["yes", "no"], match={"env": "eu"})],
            calls=[OpenCall(key="below"), OpenCall(key="apart", detached=True)],
            pauses=[OpenPause(key="unit", attempt=2, due=1_900_000_000.0)],
        ),
        wake_at=1_900_000_000.0,
    )
    signal, call, retry = check(world, story)
    assert signal["words"] == 'signal yes or no with {"env":"eu"}'
    assert call["words"] == f"run {call['run']} of step below" and call["run"]
    assert (retry["words"], retry["attempt"]) == ("attempt 2 of step unit", 2)
    attempt = queries.run_detail(world.model, story.run).attempts[0]
    assert (retry["since"], retry["until"]) == (attempt.finished_at, 1_900_000_000.0)


async def test_a_sleep_has_its_name_and_a_timer_of_the_plans_own_has_none(world):
    story = await Story(world, 1).begin()
    await story.turn(command("sleep", "soak", due=1_900_000_500.0), wake_at=1_900_000_500.0)
    assert short(check(world, story)) == [("sleep", "sleep soak", 1_900_000_500.0)]
    assert queries.run_detail(world.model, story.run).run.waiting_for == "sleep soak"
    await story.turn(wake_at=1_900_000_100.0)
    assert [kind for kind, _, _ in short(check(world, story))] == ["sleep", "timer"]
    assert check(world, story)[1]["until"] == 1_900_000_100.0


async def test_a_run_that_nothing_will_ever_wake_says_so(world):
    story = await Story(world, 1).begin()
    await story.turn()
    [one] = check(world, story)
    assert one["kind"] == "nothing"
    assert queries.run_detail(world.model, story.run).run.waiting_for == "nothing"


async def test_a_paused_run_waits_for_somebody_to_resume_it_first_of_all(world):
    story = await Story(world, 1).begin()
    wanted = Open(jobs=[OpenJob(key="unit", attempt=1)])
    paused = Paused(by="ada", since=1_700_000_000.0, reason="a look")
    await story.turn(job("unit"), wanted=wanted, paused=paused)
    first, second = check(world, story)
    assert (first["kind"], first["by"], first["since"]) == ("pause", "ada", 1_700_000_000.0)
    assert first["words"] == "somebody to resume it: it was paused by ada"
    assert second["kind"] == "job"


async def test_a_run_that_is_over_waits_for_nothing(world):
    story = await Story(world, 1).begin()
    await story.turn(end=End(state=RunState.SUCCEEDED))
    assert check(world, story) == []


def test_the_command_line_says_for_how_long_and_until_when():
    one = {"words": "gate go:\n1 of 2", "since": 1_000.0, "until": 1_700_000_000.0}
    bare = {"words": "a timer", "since": None, "until": None}
    lines = list(waiting_lines({"waiting": [one, bare]}, 1_090.0))
    assert lines[0].startswith("waiting for: gate go: 1 of 2, for 1m30s, until 2023-11-1")
    assert lines[1] == "waiting for: a timer"


def beat(world, runner, pools, slots=2, moving=None):
    """A runner that is alive."""
    sign = Heartbeat(
        runner=runner, pools=pools, at=0, slots=slots, version="0", moving=moving or {}
    )
    world.bus.put("runner.*", msgspec.json.encode(sign))


async def lack_of(world, story):
    """What the API and the page say of the one job that waits; both say the same."""
    shown = (await visitor.check(world, f"/api/v1/runs/{story.run}")).json()
    [one] = shown["waiting"]
    text = (await visitor.check(world, f"/runs/{story.run}")).text
    assert ("<dt>No runner</dt>" in text) == bool(one["lack"])
    assert (f"({one['lack']})" in one["words"]) == bool(one["lack"])
    return one["lack"]


async def test_a_job_of_a_pool_without_runners_says_so_and_which_may_be_meant(world):
    story = await Story(world, 1).begin()
    gpu = JobRequest(steps=[ShellStep(run="true")], pool="gpus")
    asked = msgspec.structs.replace(job("train"), request=gpu)
    await story.turn(asked, wanted=Open(jobs=[OpenJob(key="train", attempt=1)]))
    assert (await lack_of(world, story)).startswith("no runner is alive; start one")
    beat(world, "a", ["default"])
    assert await lack_of(world, story) == "no runner of pool gpus is alive, but of default"
    beat(world, "b", ["gpu"])
    assert await lack_of(world, story) == (
        "no runner of pool gpus is alive, but of default, gpu; is gpu meant?"
    )
    beat(world, "c", ["gpus"])
    assert await lack_of(world, story) == ""


async def test_a_job_that_runs_lacks_nothing_whoever_is_alive(world):
    story = await Story(world, 1).begin()
    await story.turn(job("unit"), wanted=Open(jobs=[OpenJob(key="unit", attempt=1)]))
    story.later().claim("unit")
    assert await lack_of(world, story) == ""


@pytest.mark.parametrize(
    ("moving", "said"),
    [
        (Moving(doing="gets its files", done=0, of=0), "gets its files, 0 bytes so far"),
        (Moving(doing="keeps its files", done=2_500_000), "keeps its files, 2.5 MB so far"),
        (
            Moving(doing="gets its files", done=1_500_000_000, of=2_000_000_000),
            "gets its files, 1.5 GB of 2.0 GB, 75 %",
        ),
        (Moving(doing="gets its files", done=9, of=5), "gets its files, 9 bytes of 5 bytes, 100 %"),
    ],
)
async def test_a_job_whose_files_are_on_their_way_says_how_far_they_are(world, moving, said):
    story = await Story(world, 1).begin()
    await story.turn(job("unit"), wanted=Open(jobs=[OpenJob(key="unit", attempt=1)]))
    story.later().claim("unit")
    of = {story.job_id("unit", 1): moving}
    # What another runner says of it counts for nothing.
    beat(world, "runner-b", ["default"], moving=of)
    shown = (await visitor.check(world, f"/api/v1/runs/{story.run}")).json()["waiting"]
    assert [(one["words"], one["moving"]) for one in shown] == [
        ("job unit, which runs on runner-a", None)
    ]
    beat(world, "runner-a", ["default"], moving=of)
    shown = (await visitor.check(world, f"/api/v1/runs/{story.run}")).json()["waiting"]
    assert [one["words"] for one in shown] == [f"job unit, which runs on runner-a ({said})"]
    assert shown[0]["moving"] == {**msgspec.to_builtins(moving), "words": said}
    assert said in (await visitor.check(world, f"/runs/{story.run}")).text
