"""step.job: requests, outcomes, retries, cancelling."""

import ast

import pytest
from msgspec import structs
from msgspec.json import encode

from pipelines.codec import decode_input, encode_input
from pipelines.commands import OpenJob
from pipelines.events import Recalled
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


def test_a_job_says_what_it_wants_to_reach(play):
    asked = "network='egress', egress=['pypi.org', '*.b.org:81'], image='python:3.13'"
    request = play(f"await step.job('a', run='x', {asked})").start().commands[0].request
    assert request.image == "python:3.13"
    assert (request.network, request.egress) == ("egress", ["pypi.org", "*.b.org:81"])


def test_a_job_asks_for_labels_in_place_of_a_pool(play):
    asked = "labels=['linux', 'arm64', 'linux']"
    request = play(f"await step.job('a', run='x', {asked})").start().commands[0].request
    assert (request.labels, request.pool) == (["arm64", "linux"], "default")


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


def gave(key, **outputs):
    return structs.replace(finished(key), outputs=outputs)


def test_a_plan_gets_the_outputs_of_its_job_typed_and_they_are_kept_with_the_result(play):
    run = play(
        """
        built = await step.job('build', run='make')
        share = built.outputs['share'] * 2
        return [built.outputs['version'], share, built.outputs['shards'][1]['name']]
        """
    )
    run.start()
    end = run.turn(gave("build", version="1.2", share=0.5, shards=[1, {"name": "b"}]))
    assert end.end.output == ["1.2", 1.0, "b"]
    [result] = end.results
    assert result.value == {
        "exit_code": 0,
        "outputs": {"version": "1.2", "share": 0.5, "shards": [1, {"name": "b"}]},
    }
    assert run.replayed()[-1].digest == end.digest


def test_a_job_without_outputs_has_none_and_its_result_is_recorded_as_ever(play):
    run = play("return (await step.job('build', run='make')).outputs")
    run.start()
    end = run.job("build")
    assert end.end.output == {}
    assert end.results[0].value == {"exit_code": 0}
    assert b"outputs" not in encode_input(finished("build"))


def test_what_a_plan_does_to_the_outputs_that_it_got_changes_nothing_that_is_recorded(play):
    run = play(
        """
        built = await step.job('build', run='make')
        built.outputs['list'].append(2)
        built.outputs['more'] = 1
        return built.outputs
        """
    )
    run.start()
    end = run.turn(gave("build", list=[1]))
    assert end.end.output == {"list": [1, 2], "more": 1}
    assert end.results[0].value["outputs"] == {"list": [1]}


def test_a_further_attempt_of_the_run_takes_the_outputs_over(play):
    body = "return (await step.job('build', run='make')).outputs['count'] + 1"
    first = play(body)
    asked = first.start().commands[0]
    done = first.turn(gave("build", count=41)).results[0]
    again = play(body)
    kept = Recalled(kind=asked.kind, key=asked.key, fingerprint=asked.fingerprint, value=done.value)
    end = again.turn(structs.replace(started(), recalled=[kept]), after=0.0)
    assert end.end.output == 42
    assert end.open.jobs == []


@pytest.mark.parametrize(
    "value", [2**53 + 1, 2**70, -(2**63), 1e-300, "é🎉\u0000", [None], {"": 0}]
)
def test_every_kind_of_value_passes_from_report_to_plan_and_history(play, value):
    report = decode_input(encode_input(gave("build", x=value)))
    assert report.outputs == {"x": value}
    run = play("return (await step.job('build', run='make')).outputs['x']")
    run.start()
    end = run.turn(report)
    assert end.end.output == value
    assert end.results[0].value["outputs"]["x"] == value


@pytest.mark.parametrize("named", ["'build/*.xml'", "['a.xml', 'b/**/c.xml']"])
def test_a_job_names_the_reports_that_it_writes_and_others_ask_as_ever(play, named):
    run = play(f"await step.job('unit', run='true', reports={{'junit': {named}}})")
    request = run.start().commands[0].request
    wanted = ast.literal_eval(named)
    assert request.reports == {"junit": [wanted] if isinstance(wanted, str) else wanted}
    plain = play("await step.job('unit', run='true')").start().commands[0].request
    assert b"reports" not in encode(plain)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{'junt': 'a.xml'}", "reports can be of junit, tap, cobertura, sarif, not of 'junt'"),
        ("{'junit': '/a.xml'}", "must be a path in the checkout"),
        ("{'junit': '../a.xml'}", "must be a path in the checkout"),
        ("{'junit': ''}", "must be a path in the checkout"),
        ("{'junit': 3}", "TypeError"),
    ],
)
def test_reports_that_cannot_be_are_refused_where_they_are_asked_for(play, given, said):
    end = play(f"await step.job('unit', run='true', reports={given})").start().end
    assert said in f"{end.error.type}: {end.error.message}"
