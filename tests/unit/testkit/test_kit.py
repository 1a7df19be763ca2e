import asyncio
import datetime
import socket
import time

import pytest
from staunch.testing import (
    BrokenPipeline,
    KitFailure,
    NotTriggered,
    PipelineTest,
    Unanswered,
    Unused,
    WrongAnswer,
    manual,
    merge_group,
    pull_request,
    push,
    release,
    schedule,
    tag,
)

from ci_host.testkit.kit import TURNS_MAX
from tests.unit.testkit.pipelines_under_test import (
    CALLS,
    CLOCK,
    FILE,
    LATE,
    MATRIX,
    RELEASE,
    SIGNALS,
    UNDONE,
)


def kit(source: str, **how: bool) -> PipelineTest:
    beside = {".staunch/notes.py": "async def run(event, step):\n    return 1\n"}
    return PipelineTest.of({FILE: source, **beside}, **how)


def test_a_run_goes_to_its_end_in_no_time_though_it_waits_for_hours() -> None:
    test = kit(RELEASE).gate("go-live", approve_by="ada", after="3d")
    test.job("deploy", outputs={"url": "https://shop.example"}, takes="5m")
    result = test.run(push()).succeeded()
    assert result.output == {"by": ["ada"], "url": "https://shop.example"}
    assert result.names == ["version", "unit", "lint", "go-live", "soak", "deploy"]
    assert result.seconds == 1 + 3 * 86400 + 2 * 3600 + 300
    assert result.step("soak").began_at == 1 + 3 * 86400


def test_what_a_job_was_asked_is_there_to_be_looked_at() -> None:
    unit = kit(RELEASE).run(pull_request()).succeeded().jobs["unit"]
    assert (unit.commands, unit.command) == (["make", "make test"], "make\nmake test")
    assert unit.env == {"VERSION": "1.0.0+c0ffee"}
    assert (unit.image, unit.pool, unit.state, unit.attempts) == (
        "python:3.13",
        "default",
        "succeeded",
        1,
    )


def test_a_job_that_fails_fails_the_run_with_the_line_that_asked_for_it() -> None:
    result = kit(RELEASE).job("unit", exit_code=2).run(pull_request()).failed("unit")
    assert result.failure is not None
    assert result.failure.where() == f"{FILE}:{line_of(RELEASE, 'await step.parallel')}"
    assert result.jobs["unit"].state == "failed"
    assert result.jobs["lint"].state == "cancelled"
    assert result.statuses[-1].state == "failure"


def line_of(source: str, text: str) -> int:
    return next(n for n, line in enumerate(source.splitlines(), 1) if text in line)


def test_attempts_end_one_after_another_as_they_were_prepared() -> None:
    test = kit(RELEASE).job("lint", exit_code=1).job("lint")
    result = test.run(pull_request()).succeeded()
    assert result.jobs["lint"].attempts == 2
    assert result.seconds > 30
    again = kit(RELEASE).job("lint", exit_code=1).run(pull_request()).failed()
    assert again.jobs["lint"].attempts == 3


def test_a_glob_prepares_several_steps_and_an_exact_name_goes_before_it() -> None:
    test = kit(MATRIX).job("*/deploy", takes=10).job("us/deploy", takes=100)
    assert test.run().succeeded().seconds == 111
    failed = kit(MATRIX).job("test-*", takes=5).job("test-1", exit_code=1).run().failed("test-1")
    assert failed.seconds == 1


def test_a_gate_is_rejected_or_times_out() -> None:
    rejected = kit(RELEASE).gate("go-live", reject_by="grace", comment="not today").run()
    assert rejected.failed("rejected by grace: not today").names[-1] == "go-live"
    late = kit(RELEASE).gate("go-live", times_out=True).run().failed("GateTimedOut")
    assert late.seconds == 1 + 7 * 86400
    assert late.step("go-live").state == "timed_out"


def test_an_answer_that_an_engine_would_not_take_is_refused() -> None:
    with pytest.raises(WrongAnswer, match=r"'mallory' may not answer.*ada, grace"):
        kit(RELEASE).gate("go-live", approve_by="mallory").run()
    with pytest.raises(WrongAnswer, match="is one of these"):
        kit(RELEASE).gate("go-live")
    asked = "async def run(event, step):\n    return (await step.gate('g', inputs={'n': int}))"
    with pytest.raises(WrongAnswer, match="does not take these inputs"):
        kit(asked).gate("g", approve_by="ada", inputs={"n": "many"}).run()


def test_a_gate_of_two_needs_two_answers() -> None:
    two = "async def run(event, step):\n    return (await step.gate('g', needed=2)).by"
    assert kit(two).gate("g", approve_by=["ada", "bob"]).run().output == ["ada", "bob"]
    with pytest.raises(Unanswered, match=r"'g' has 1 of 2 approvals: add test.gate"):
        kit(two).gate("g", approve_by="ada").run()


def test_signals_come_when_somebody_waits_for_them_and_what_never_comes_times_out() -> None:
    result = kit(SIGNALS).signal("go", 1, after="10s").signal("go", 2, after="20s").run()
    assert result.succeeded().output == [1, 2, "nothing"]
    assert result.seconds == 30 + 86400
    with pytest.raises(Unanswered, match=r'add test.signal\("?\'?go'):
        kit(SIGNALS).run()


def test_a_signal_that_nobody_waits_for_is_told_and_fails_a_strict_test() -> None:
    test = kit(SIGNALS, strict=True).signal("go", 1).signal("go", 2)
    for _ in range(2):
        assert test.run().unused == []
    with pytest.raises(Unused, match=r"never asked for signal 'go' #3, signal 'og':"):
        test.signal("go", 3).signal("og").run()
    result = kit(SIGNALS).signal("go", 1).signal("go", 2).signal("og").run()
    assert result.unused == ["signal 'og'"]
    assert "prepared, and never asked for: signal 'og'" in str(result)


def test_a_signal_that_a_later_wait_takes_is_used() -> None:
    test = kit(LATE, strict=True).signal("go", {"to": "eu"}).signal("go", {"to": "us"})
    assert test.run().succeeded().output == [{"to": "us"}, {"to": "eu"}]


def test_a_called_pipeline_returns_or_fails() -> None:
    assert kit(CALLS).call("notes", returns={"n": 3}).run().output == {"n": 3}
    said = kit(CALLS).call("notes", fails="no changelog").run().succeeded().output
    assert "no changelog" in said


def test_the_function_of_a_step_is_replaced_and_not_called() -> None:
    result = kit(RELEASE).do("version", returns="9.9").run(pull_request())
    assert result.jobs["unit"].env == {"VERSION": "9.9"}
    body = "async def run(event, step):\n    return await step.do('f', f)"
    late = f"async def f():\n    raise ValueError\n{body}"
    assert kit(late).do("f", returns=[1]).run().output == [1]
    broken = kit(RELEASE).do("version", raises=ValueError("no tags")).run(pull_request())
    assert broken.failed("ValueError: no tags").names == ["version"]


@pytest.mark.parametrize("name", ["version", "unit"])
def test_any_step_can_be_made_to_fail(name: str) -> None:
    result = kit(RELEASE).fail(name, "no more room").run(pull_request()).failed()
    assert (result.step(name).state, result.unused) == ("failed", [])


def test_a_called_pipeline_can_be_made_to_fail() -> None:
    assert "no more room" in kit(CALLS).fail("notes", "no more room").run().output


def test_what_was_done_is_undone_when_a_later_step_fails() -> None:
    result = kit(UNDONE).fail("smoke").run().failed("smoke")
    assert [name for name in result.names if "take-back" in name]
    assert not [name for name in kit(UNDONE).run().names if "take-back" in name]


def test_a_run_is_cancelled_while_it_waits_in_a_step() -> None:
    result = kit(UNDONE).cancel(during="smoke", by="ada").run()
    assert result.state == "cancelled"
    assert result.jobs["smoke"].state == "cancelled"
    assert [name for name in result.names if "take-back" in name]


def test_clocks_say_the_time_of_the_run() -> None:
    passed, at, moment, day, hour, is_one = kit(CLOCK).run().succeeded().output
    assert (passed, is_one) == (12 * 3600, True)
    assert datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat() == moment
    assert (moment[:10], moment[11:13]) == (day, hour)
    assert abs(time.time() - at) > 60, "and this process has its own again"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("open('/etc/passwd')", "FileNotFoundError.*a plan has no files"),
        ("__import__('time').sleep(3)", "step.sleep"),
        ("__import__('socket').socket()", "a plan has no network"),
        ("input()", "nobody can type into a plan"),
        ("import msgspec", "No module named 'msgspec': a pipeline has the standard library"),
        ("from staunch import testing", "staunch.testing is for tests"),
        ("import staunch.testing", "staunch.testing is for tests"),
    ],
)
def test_what_a_sandbox_has_not_is_not_there_in_a_test(body: str, said: str) -> None:
    result = kit(f"async def run(event, step):\n    {body}\n").run()
    assert result.failure is not None
    with pytest.raises(AssertionError, match=said):
        result.succeeded()
    assert result.failure.where() == f"{FILE}:2"
    socket.socket().close()
    assert open(__file__).close() is None


def test_a_strict_test_says_which_line_to_add() -> None:
    with pytest.raises(Unanswered, match=r"add test\.job\('unit'\)"):
        kit(RELEASE, strict=True).run()
    with pytest.raises(Unused, match=r"never asked for job 'untt'"):
        test = kit(RELEASE, strict=True).job("unit").job("lint").job("untt")
        test.run(pull_request())
    assert kit(RELEASE).job("untt").run(pull_request()).unused == ["job 'untt'"]


def test_a_pipeline_runs_only_on_what_it_wants() -> None:
    test = kit(RELEASE)
    assert test.runs_on(push("release/7"))
    assert not test.runs_on(push("feature"))
    assert not test.runs_on(tag("v1"))
    with pytest.raises(NotTriggered, match="does not run on a push of 'feature'"):
        test.run(push("feature"))


def test_what_is_no_event_is_refused_with_the_way_to_make_one():
    with pytest.raises(TypeError, match=r"'push' is no event: .*push\(\)"):
        kit(RELEASE).run("push")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("declared", "event", "kind"),
    [
        ("on.tag('v*')", tag("v2"), "tag"),
        ("on.schedule('0 2 * * *', name='nightly')", schedule("nightly"), "schedule"),
        ("on.release(tags=['v*'])", release("v2"), "release"),
        ("on.merge_group(branches=['main'])", merge_group("main"), "merge_group"),
        ("on.manual()", manual(), "manual"),
    ],
    ids=["tag", "schedule", "release", "merge_group", "manual"],
)
def test_every_kind_of_event_begins_a_run(declared: str, event: object, kind: str) -> None:
    body = "async def run(event, step):\n    return event.kind"
    source = f"from staunch import on\n{declared}\n{body}"
    assert kit(source).run(event).output == kind


def test_inputs_are_those_that_the_pipeline_asks_for() -> None:
    test = kit(RELEASE).gate("go-live", approve_by="ada")
    test.run(inputs={"percent": 5}).succeeded()
    with pytest.raises(WrongAnswer, match="percent"):
        test.run(inputs={"percent": "all"})
    with pytest.raises(WrongAnswer, match="has no inputs"):
        test.run(push(), inputs={"percent": 5})


def test_a_pipeline_that_cannot_be_imported_says_where() -> None:
    with pytest.raises(BrokenPipeline, match=rf"{FILE}:2: NameError"):
        kit("\nnonsense\n").run()
    with pytest.raises(BrokenPipeline, match="has no `async def run"):
        kit("x = 1\n").run()


def test_a_name_that_is_not_there_is_told_with_those_that_are() -> None:
    result = kit(RELEASE).run(pull_request())
    with pytest.raises(KitFailure, match=r"no 'unti' \(did you mean 'unit'\?\); there are"):
        result.jobs["unti"]
    with pytest.raises(KitFailure, match=r"run failed after.*\n.*JobFailed.*\n.*do 'version'"):
        kit(RELEASE).fail("lint").run(pull_request()).succeeded()


def test_one_test_runs_its_pipeline_several_times_alike() -> None:
    test = kit(RELEASE).gate("go-live", approve_by="ada").job("lint", exit_code=1).job("lint")
    assert str(test.run()) == str(test.run())


def test_it_runs_where_an_event_loop_is_at_work() -> None:
    async def asynchronous() -> str:
        await asyncio.sleep(0)
        return kit(RELEASE).run(pull_request()).succeeded().output

    assert asyncio.run(asynchronous()) == "checked"


def test_a_pipeline_is_found_in_the_repository_from_any_folder_of_it(tmp_path, monkeypatch) -> None:
    (tmp_path / ".staunch/lib").mkdir(parents=True)
    (tmp_path / ".staunch/lib/names.py").write_text("NAME = 'unit'\n")
    (tmp_path / FILE).write_text(
        "from lib.names import NAME\nasync def run(event, step):\n"
        "    await step.job(NAME, run='true')\n"
    )
    (tmp_path / "tests").mkdir()
    monkeypatch.chdir(tmp_path / "tests")
    assert PipelineTest(FILE).run().succeeded().names == ["unit"]
    with pytest.raises(BrokenPipeline, match=r"there is no .staunch/other.py"):
        PipelineTest(".staunch/other.py")


def test_a_plan_that_waits_for_nothing_that_can_come_is_told_so() -> None:
    stuck = "import asyncio\nasync def run(event, step):\n    await asyncio.Event().wait()\n"
    with pytest.raises(Unanswered, match="something of its own that never comes"):
        kit(stuck).run()


def test_a_run_that_goes_on_as_new_ends_there_with_what_the_next_begins_with() -> None:
    source = (
        "from staunch import on\non.manual(inputs={'n': int})\n"
        "async def run(event, step):\n"
        "    step.continue_as_new({'n': event.inputs['n'] + 1})\n"
    )
    result = kit(source).run(inputs={"n": 1})
    assert (result.state, result.continuation) == ("continued", {"n": 2})


def test_a_run_in_a_concurrency_group_is_let_in() -> None:
    source = (
        "from staunch import on\non.concurrency('deploys')\n"
        "async def run(event, step):\n    await step.job('deploy', run='true')\n"
    )
    assert kit(source).run().succeeded().names == ["deploy"]


@pytest.mark.parametrize(("outcome", "said"), [("cancelled", "during='unit'"), ("gone", "lost")])
def test_a_job_ends_only_as_a_runner_may_report(outcome: str, said: str) -> None:
    with pytest.raises(WrongAnswer, match=said):
        kit(RELEASE).job("unit", outcome=outcome)


def waiting(turns: int) -> PipelineTest:
    """A pipeline of so many Turns."""
    loop = f"for number in range({turns - 1}):\n        await step.sleep('again', 60)"
    return kit(f"async def run(event, step):\n    {loop}\n", hibernate=False)


def test_a_run_of_too_many_turns_is_taken_for_endless() -> None:
    assert waiting(TURNS_MAX).run().state == "succeeded"
    with pytest.raises(KitFailure, match="after 2,000 turns the run is not over"):
        waiting(TURNS_MAX + 1).run()
