"""step.job: requests, outcomes, retries, cancelling."""

import pytest

from pipelines.commands import OpenJob
from pipelines.job import Outcome
from tests.tenants import cancel, finished, started


def states(outcome):
    return [(r.key, str(r.state), r.attempt) for r in outcome.results]


def test_a_job_asks_for_an_attempt_and_stays_open_until_it_is_reported(play):
    run = play("result = await step.job('unit', run='pytest -q')\nreturn result.exit_code")
    first = run.start()
    [command] = first.commands
    assert (command.kind, command.key, command.attempt) == ("job", "unit", 1)
    assert command.request.steps[0].run == "pytest -q"
    assert first.open.jobs == [OpenJob(key="unit", attempt=1)]
    assert first.end is None
    end = run.job("unit")
    assert end.open.jobs == []
    assert states(end) == [("unit", "succeeded", 1)]
    assert end.end.output == 0


def test_every_option_of_a_job_is_in_its_request(play):
    run = play(
        """
        await step.job(
            'build',
            run=['make', shell('make check', name='check', env={'CI': '1'}, cwd='sub', timeout=60)],
            env={'A': 'b'}, cwd='src', timeout='20m', pool='big', volumes=['cache'], checkout=False,
        )
        """
    )
    request = run.start().commands[0].request
    make, check = request.steps
    assert (make.run, make.cwd, make.name) == ("make", "src", "")
    assert (check.run, check.name, check.env) == ("make check", "check", {"CI": "1"})
    assert (check.cwd, check.timeout_s) == ("sub", 60.0)
    assert (request.env, request.timeout_s, request.pool) == ({"A": "b"}, 1200.0, "big")
    assert (request.volumes, request.checkout) == (["cache"], False)


@pytest.mark.parametrize(
    ("outcome", "state", "kind"),
    [
        (Outcome.FAILED, "failed", "tenant"),
        (Outcome.TIMED_OUT, "timed_out", "tenant"),
        (Outcome.LOST, "failed", "transient"),
        (Outcome.REFUSED, "failed", "refused"),
        (Outcome.CANCELLED, "cancelled", "refused"),
    ],
)
def test_a_job_that_did_not_succeed_raises_job_failed(play, outcome, state, kind):
    run = play("await step.job('unit', run='false')")
    run.start()
    end = run.job("unit", outcome, code=3)
    assert states(end) == [("unit", state, 1)]
    assert end.results[0].error.kind == kind
    assert end.end.error.type == "JobFailed"
    assert f"job 'unit' {outcome.replace('_', ' ')} with exit code 3" in end.end.error.message
    assert end.end.error.step == "unit"


def test_a_failed_job_points_at_the_line_that_asked_for_it(play):
    run = play("await step.job('unit', run='false')")
    run.start()
    error = run.job("unit", Outcome.FAILED).results[0].error
    assert "step.job('unit'" in run.source.splitlines()[error.line - 1]


def test_only_the_named_outcomes_are_retried(play):
    run = play("await step.job('unit', run='x', retries=Retry(2, on=['lost'], delay=5))")
    run.start()
    lost = run.job("unit", Outcome.LOST)
    assert states(lost) == [("unit", "retrying", 1)]
    assert lost.open.jobs == []
    again = run.wake()
    assert [(c.key, c.attempt) for c in again.commands] == [("unit", 2)]
    assert again.commands[0].fingerprint == run.made[0][1].commands[0].fingerprint
    failed = run.job("unit", Outcome.FAILED, attempt=2)
    assert states(failed) == [("unit", "failed", 2)]
    assert "in attempt 2" in failed.end.error.message


def test_late_and_repeated_reports_change_nothing(play):
    run = play(
        "await step.job('a', run='x', retries=Retry(1, delay=1))\nawait step.job('b', run='x')"
    )
    run.start()
    run.job("a", Outcome.LOST)
    run.wake()
    late = run.job("a", Outcome.SUCCEEDED, attempt=1)
    assert (late.results, late.commands) == ([], [])
    run.job("a", attempt=2)
    repeated = run.job("a", attempt=2)
    assert (repeated.results, repeated.commands) == ([], [])
    unknown = run.job("nobody")
    assert (unknown.results, unknown.commands) == ([], [])


def test_a_cancelled_job_stays_open_until_its_report_even_after_the_end(play):
    run = play(
        """
        task = asyncio.create_task(step.job('slow', run='x'))
        await step.job('fast', run='x')
        task.cancel()
        return 1
        """
    )
    run.start()
    end = run.job("fast")
    assert end.end.state == "succeeded"
    assert end.open.jobs == [OpenJob(key="slow", attempt=1, cancelling=True)]
    assert ("slow", "cancelled", 1) in states(end)
    last = run.job("slow", Outcome.CANCELLED)
    assert last.open.jobs == []
    assert (last.end, last.results, last.wake_at) == (None, [], None)


def test_what_is_still_running_is_cancelled_at_the_end(play):
    run = play("asyncio.create_task(step.job('left', run='x'))\nawait asyncio.sleep(0)")
    end = run.start()
    assert end.end.state == "succeeded"
    assert end.open.jobs == [OpenJob(key="left", attempt=1, cancelling=True)]


def test_a_timeout_cancels_the_job_it_surrounds(play):
    run = play(
        """
        try:
            async with asyncio.timeout(60):
                await step.job('slow', run='x')
        except TimeoutError:
            return "gave up"
        """
    )
    assert run.start().wake_at == run.at + 60
    end = run.wake()
    assert end.end.output == "gave up"
    assert end.open.jobs[0].cancelling


def test_a_result_that_came_after_its_deadline_finds_the_timeout_fired(play):
    run = play(
        """
        try:
            async with asyncio.timeout(60):
                await step.job('slow', run='x')
        except TimeoutError:
            return "gave up"
        """
    )
    run.start()
    end = run.job("slow", after=61.0)
    assert end.end.output == "gave up"
    assert end.open.jobs == []


def test_a_cancel_request_runs_the_cleanup_and_its_steps(play):
    run = play(
        """
        try:
            await step.job('deploy', run='x')
        finally:
            await step.job('rollback', run='y')
        """
    )
    run.start()
    stopping = run.turn(cancel())
    assert [c.key for c in stopping.commands] == ["rollback"]
    assert stopping.end is None
    assert stopping.open.jobs == [
        OpenJob(key="deploy", attempt=1, cancelling=True),
        OpenJob(key="rollback", attempt=1),
    ]
    assert run.turn(cancel()).commands == []
    run.job("deploy", Outcome.CANCELLED)
    end = run.job("rollback")
    assert end.end.state == "cancelled"


def test_a_run_may_be_cancelled_in_the_turn_in_which_it_starts(play):
    run = play("await step.job('a', run='x')")
    end = run.turn(started(), cancel())
    assert end.end.state == "cancelled"
    assert end.open.jobs == [OpenJob(key="a", attempt=1, cancelling=True)]


def test_a_second_start_changes_nothing(play):
    run = play("await step.job('a', run='x')")
    run.start()
    assert run.start().commands == []


def test_an_instance_that_was_never_awaited_is_named_with_its_line(play):
    run = play("step.job('deploy', run='x')\nreturn 1")
    end = run.start()
    assert end.end.state == "failed"
    assert end.end.error.type == "NeverAwaited"
    assert "step.job('deploy', …) was never awaited" in end.end.error.message
    assert end.end.error.file == ".staunch/pipeline.py"
    assert "step.job('deploy'" in run.source.splitlines()[end.end.error.line - 1]


def test_two_reports_in_one_turn_settle_in_their_order(play):
    run = play("await step.parallel(step.job('a', run='x'), step.job('b', run='x'))")
    run.start()
    end = run.turn(finished("b"), finished("a"))
    assert states(end) == [("b", "succeeded", 1), ("a", "succeeded", 1)]
    assert end.end.state == "succeeded"
