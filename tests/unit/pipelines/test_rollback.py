"""rollback=: what had succeeded is undone, last first, when the Run fails or is cancelled."""

import pytest

from pipelines.job import Outcome
from pipelines.run import RunState
from tests.tenants import cancel, child_finished, finished, signal

TOP = """
def undo(name):
    async def call(step, result):
        print(name, result)
        await step.job("remove", run=f"remove {name}")
    return call

async def quick(step, result):
    print("undo", result)
"""


def states(outcome):
    return [(r.key, str(r.state)) for r in outcome.results]


def keys(outcome):
    return [(str(c.kind), c.key) for c in outcome.commands]


def test_what_had_succeeded_is_undone_last_first_and_the_runs_error_stays(play):
    run = play(
        """
        await step.do("a", lambda: 1, rollback=undo("a"))
        await step.do("none", lambda: 2)
        await step.job("b", run="x", rollback=undo("b"))
        raise ValueError("too bad")
        """,
        TOP,
    )
    run.start()
    first = run.job("b")
    assert keys(first) == [("rollback", "b/rollback"), ("job", "b/rollback/remove")]
    assert first.printed.startswith("b JobResult(name='b', exit_code=0")
    assert first.end is None
    second = run.job("b/rollback/remove")
    assert keys(second) == [("rollback", "a/rollback"), ("job", "a/rollback/remove")]
    assert second.printed == "a 1\n"
    end = run.job("a/rollback/remove")
    assert states(end) == [("a/rollback/remove", "succeeded"), ("a/rollback", "succeeded")]
    assert (str(end.end.state), end.end.error.message) == ("failed", "too bad")


def test_a_run_that_succeeds_undoes_nothing(play):
    end = play("await step.do('a', int, rollback=quick)\nreturn 1", TOP).start()
    assert (keys(end), end.end.output, end.printed) == ([("do", "a")], 1, "")


def test_a_step_that_failed_or_was_never_reached_is_not_undone(play):
    run = play(
        """
        await step.do("bad", int, "x", rollback=quick)
        await step.do("later", int, rollback=quick)
        """,
        TOP,
    )
    assert keys(run.start()) == [("do", "bad")]


def test_an_error_in_a_rollback_is_recorded_and_the_others_still_run(play):
    top = TOP + "\nasync def broken(step, result):\n    raise OSError('no way back')\n"
    end = play(
        """
        await step.do("a", lambda: 1, rollback=quick)
        await step.do("b", lambda: 2, rollback=broken)
        raise ValueError("too bad")
        """,
        top,
    ).start()
    assert states(end)[2:] == [("b/rollback", "failed"), ("a/rollback", "succeeded")]
    error = end.results[2].error
    assert (error.type, error.message, error.step) == ("OSError", "no way back", "b/rollback")
    assert (end.end.error.message, end.printed) == ("too bad", "undo 1\n")


def test_each_use_of_a_name_has_a_rollback_of_its_own(play):
    end = play(
        """
        for region in ("eu", "us"):
            for _ in range(2):
                await step.scope(region).do("a", lambda: region, rollback=quick)
        raise ValueError
        """,
        TOP,
    ).start()
    assert [key for kind, key in keys(end) if kind == "rollback"] == [
        "us/a#2/rollback", "us/a/rollback", "eu/a#2/rollback", "eu/a/rollback",
    ]  # fmt: skip


def test_a_cancelled_run_cleans_up_first_and_then_undoes(play):
    run = play(
        """
        await step.do("a", lambda: 1, rollback=undo("a"))
        try:
            await step.sleep("soak", "1h")
        finally:
            await step.job("cleanup", run="x")
        """,
        TOP,
    )
    run.start()
    assert keys(run.turn(cancel())) == [("job", "cleanup")]
    assert keys(run.job("cleanup")) == [("rollback", "a/rollback"), ("job", "a/rollback/remove")]
    end = run.job("a/rollback/remove")
    assert str(end.end.state) == "cancelled"


def test_nothing_is_undone_while_a_cancelled_job_is_still_working(play):
    run = play(
        """
        await step.do("a", lambda: 1, rollback=quick)
        await step.job("b", run="x")
        """,
        TOP,
    )
    run.start()
    waiting = run.turn(cancel())
    assert (keys(waiting), waiting.end) == ([], None)
    end = run.job("b", Outcome.CANCELLED)
    assert states(end) == [("a/rollback", "succeeded")]
    assert str(end.end.state) == "cancelled"


def test_nothing_is_undone_while_a_cancelled_child_still_goes_on(play):
    body = "await step.do('a', int, rollback=quick)\nawait step.call('c', 'pipeline')"
    run = play(body, TOP)
    run.start()
    assert run.turn(cancel()).end is None
    end = run.turn(child_finished("c", RunState.CANCELLED))
    assert states(end) == [("a/rollback", "succeeded")]
    assert str(end.end.state) == "cancelled"


def test_a_job_that_never_reports_is_waited_for_two_minutes(play):
    run = play("await step.do('a', int, rollback=quick)\nawait step.job('b', run='x')", TOP)
    run.start()
    waiting = run.turn(cancel())
    assert waiting.wake_at == run.at + 120
    end = run.wake()
    assert states(end) == [("a/rollback", "succeeded")]
    assert [(job.key, job.cancelling) for job in end.open.jobs] == [("b", True)]


def test_a_job_that_succeeds_although_it_was_cancelled_is_undone_too(play):
    run = play("await step.job('b', run='x', rollback=quick)", TOP)
    run.start()
    assert states(run.turn(cancel())) == [("b", "cancelled")]
    end = run.job("b")
    assert states(end) == [("b/rollback", "succeeded")]
    assert "undo JobResult(name='b'" in end.printed


def test_a_cancel_while_rollbacks_run_ends_the_one_that_runs_and_skips_the_rest(play):
    run = play(
        """
        for name in "abc":
            await step.do(name, lambda: 1, rollback=undo(name))
        await step.sleep("soak", "1h")
        """,
        TOP,
    )
    run.start()
    run.turn(cancel("c1"))
    assert run.turn(cancel("c1")).results == []
    end = run.turn(cancel("c2"))
    assert states(end) == [
        ("c/rollback/remove", "cancelled"), ("c/rollback", "cancelled"),
        ("b/rollback", "cancelled"), ("a/rollback", "cancelled"),
    ]  # fmt: skip
    assert str(end.end.state) == "cancelled"


def test_a_failed_run_that_is_cancelled_while_it_undoes_stays_failed(play):
    run = play("await step.do('a', int, rollback=undo('a'))\nraise ValueError('first')", TOP)
    run.start()
    end = run.turn(cancel())
    assert (str(end.end.state), end.end.error.message) == ("failed", "first")


def test_a_rollback_that_cleans_up_after_a_cancel_is_let_to(play):
    top = """
    async def stubborn(step, result):
        try:
            await step.sleep("long", "1d")
        finally:
            await step.job("tidy", run="x")
    """
    run = play(
        "await step.do('a', int)\nawait step.do('b', int, rollback=stubborn)\nraise KeyError", top
    )
    run.start()
    assert keys(run.turn(cancel())) == [("job", "b/rollback/tidy")]
    end = run.job("b/rollback/tidy")
    assert states(end) == [("b/rollback/tidy", "succeeded"), ("b/rollback", "cancelled")]


def test_a_limit_ends_the_run_without_rollbacks(play):
    end = play("await step.do('a', int, rollback=quick)\nprint('x' * 70000)", TOP).start()
    assert keys(end) == [("do", "a")]
    assert end.end.error.type == "LimitBreached"


def test_a_limit_broken_by_a_rollback_is_its_own_error_and_not_the_runs(play):
    top = "\nasync def loud(step, result):\n    print('x' * 70000)\n"
    end = play("await step.do('a', int, rollback=loud)\nraise ValueError('own')", top).start()
    assert states(end)[1:] == [("a/rollback", "failed")]
    assert end.results[1].error.type == "LimitBreached"
    assert end.end.error.message == "own"


def test_what_a_rollback_does_is_not_itself_undone(play):
    top = TOP + "\nasync def back(step, result):\n    await step.do('x', int, rollback=quick)\n"
    end = play("await step.do('a', int, rollback=back)\nraise ValueError", top).start()
    assert keys(end)[1:] == [("rollback", "a/rollback"), ("do", "a/rollback/x")]


def test_what_a_rollback_leaves_running_is_cancelled(play):
    top = """
    async def left(step, result):
        asyncio.create_task(step.job("left", run="x"))
        await asyncio.sleep(0)
    """
    end = play("await step.do('a', int, rollback=left)\nraise ValueError", top).start()
    assert str(end.end.state) == "failed"
    assert [(job.key, job.cancelling) for job in end.open.jobs] == [("a/rollback/left", True)]


def test_a_run_whose_result_cannot_be_kept_is_undone(play):
    end = play("await step.do('a', int, rollback=quick)\nreturn object()", TOP).start()
    assert states(end)[-1] == ("a/rollback", "succeeded")


def test_rollbacks_replay_and_are_not_confused_with_do(play):
    run = play(
        """
        task = asyncio.create_task(step.job("slow", run="x"))
        await step.do("a", random.random, rollback=quick)
        await step.do("b", random.random, rollback=undo("b"))
        await step.wait_for_event("end")
        raise ValueError
        """,
        TOP,
    )
    run.start()
    run.turn(signal("end"))
    run.turn(finished("slow", Outcome.CANCELLED))
    run.job("b/rollback/remove")
    assert run.made[-1][1].end is not None
    replayed = run.replayed()
    assert [o.digest for o in replayed] == [o.digest for _, o in run.made]
    assert [o.printed for o in replayed] == [o.printed for _, o in run.made]


@pytest.mark.parametrize(
    "call", ["step.do('a', int, rollback=print)", "step.job('a', 'x', rollback=lambda s, r: 1)"]
)
def test_a_rollback_that_is_no_async_function_is_a_clear_error(play, call):
    error = play(f"await {call}").start().end.error
    assert "rollback must be an async function: async def undo(step, result)" in error.message
