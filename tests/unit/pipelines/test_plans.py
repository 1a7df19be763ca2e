"""What a plan may be made of: asyncio, scopes, names, events, limits, mistakes."""

import pytest

from pipelines.job import Outcome
from tests.tenants import finished, signal, started


def keys(outcome):
    return [command.key for command in outcome.commands]


def test_the_event_tells_what_happened(play):
    end = play(
        "return [event.kind, event.branch, event.tag, event.commit, event.sender, event.repo,"
        " event.run_id, event.pull_request]"
    ).start()
    assert end.end.output == [
        "push", "main", "", "c0ffee", "ann", "acme/shop", started().run, None,
    ]  # fmt: skip


def test_a_name_used_again_gets_a_number(play):
    run = play("for _ in range(3):\n    await step.do('x', int)\nawait step.do('y', int)")
    assert keys(run.start()) == ["x", "x#2", "x#3", "y"]


def test_scopes_keep_names_apart_and_nest(play):
    run = play(
        """
        await step.scope('eu').do('deploy', int)
        await step.scope('us').scope('east').do('deploy', int)
        await step.scope('eu').do('deploy', int)
        """
    )
    assert keys(run.start()) == ["eu/deploy", "us/east/deploy", "eu/deploy#2"]


def test_gather_runs_jobs_side_by_side(play):
    run = play(
        """
        a, b = await asyncio.gather(step.job('a', run='x'), step.job('b', run='x'))
        return [a.name, b.name]
        """
    )
    assert keys(run.start()) == ["a", "b"]
    run.job("b")
    assert run.job("a").end.output == ["a", "b"]


def test_a_task_group_cancels_its_other_jobs_in_the_order_they_were_made(play):
    run = play(
        """
        try:
            async with asyncio.TaskGroup() as group:
                for name in 'edcba':
                    group.create_task(step.job(name, run='x'))
        except* JobFailed as errors:
            print(errors.exceptions[0])
        """
    )
    run.start()
    end = run.job("c", Outcome.FAILED)
    assert [(r.key, str(r.state)) for r in end.results] == [
        ("c", "failed"), ("e", "cancelled"), ("d", "cancelled"), ("b", "cancelled"),
        ("a", "cancelled"),
    ]  # fmt: skip
    assert end.printed == "job 'c' failed with exit code 1\n"


def test_a_failed_task_group_names_the_error_inside(play):
    run = play(
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(step.job('a', run='x'))
        """
    )
    run.start()
    error = run.job("a", Outcome.FAILED).end.error
    assert error.type == "ExceptionGroup"
    assert "JobFailed: job 'a' failed" in error.message
    assert error.step == "a"


def test_wait_for_and_sleep_work_on_the_runs_clock(play):
    run = play(
        """
        try:
            await asyncio.wait_for(asyncio.sleep(1000), 10)
        except TimeoutError:
            await asyncio.sleep(5)
            return "slept"
        """
    )
    assert run.start().wake_at == run.at + 10
    assert run.wake().wake_at == run.at + 5
    assert run.wake().end.output == "slept"


def test_timers_on_the_way_to_an_input_fire_in_order_at_their_own_time(play):
    run = play(
        """
        loop, seen = asyncio.get_running_loop(), []
        async def tick(after):
            await asyncio.sleep(after)
            seen.append([after, loop.time()])
        async with asyncio.TaskGroup() as group:
            for after in (30, 10, 20):
                group.create_task(tick(after))
        return seen
        """
    )
    begin = run.start().now
    end = run.turn(signal("late"), after=100.0)
    assert end.end.output == [[10, begin + 10], [20, begin + 20], [30, begin + 30]]
    assert end.now == begin + 100


def test_parallel_gives_results_in_the_order_given(play):
    run = play(
        "return [r.name for r in await step.parallel(step.job('a', 'x'), step.job('b', 'x'))]"
    )
    run.start()
    run.job("b")
    assert run.job("a").end.output == ["a", "b"]


def test_parallel_cancels_the_others_at_the_first_error(play):
    run = play("await step.parallel(step.job('a', 'x'), step.job('b', 'x'))")
    run.start()
    end = run.job("b", Outcome.FAILED)
    assert end.end.error.type == "JobFailed"
    assert end.end.error.step == "b"
    assert [(j.key, j.cancelling) for j in end.open.jobs] == [("a", True)]


def test_parallel_without_fail_fast_lets_all_end(play):
    body = "await step.parallel(step.job('a', 'x'), step.job('b', 'x'), {}fail_fast=False)"
    run = play(body.format(""))
    run.start()
    assert run.job("b", Outcome.FAILED).end is None
    assert run.job("a").end.error.type == "JobFailed"
    both = play(body.format("step.job('c', 'x'), "))
    both.start()
    end = both.turn(finished("a", Outcome.FAILED), finished("b"), finished("c", Outcome.LOST))
    assert end.end.error.type == "ExceptionGroup"
    assert "2 of 3 parallel steps failed" in end.end.error.message


def test_parallel_with_a_limit_begins_in_order_as_others_end(play):
    run = play(
        """
        jobs = [step.job(name, 'x') for name in 'abcd']
        return [result.name for result in await step.parallel(*jobs, limit=2)]
        """
    )
    assert keys(run.start()) == ["a", "b"]
    assert keys(run.job("b")) == ["c"]
    both = run.turn(finished("a"), finished("c"))
    assert keys(both) == ["d"]
    assert run.job("d").end.output == ["a", "b", "c", "d"]


def test_parallel_with_a_limit_begins_nothing_after_the_first_error(play):
    run = play(
        """
        try:
            await step.parallel(*[step.job(name, 'x') for name in 'abcd'], limit=2)
        except JobFailed as error:
            return error.job
        """
    )
    run.start()
    end = run.job("b", Outcome.FAILED)
    assert (keys(end), end.end.output) == ([], "b")
    assert [(j.key, j.cancelling) for j in end.open.jobs] == [("a", True)]


def test_parallel_with_a_limit_and_without_fail_fast_goes_on_to_the_end(play):
    run = play("await step.parallel(*[step.job(n, 'x') for n in 'abc'], limit=1, fail_fast=False)")
    assert keys(run.start()) == ["a"]
    assert keys(run.job("a", Outcome.FAILED)) == ["b"]
    assert keys(run.job("b", Outcome.LOST)) == ["c"]
    assert "2 of 3 parallel steps failed" in run.job("c").end.error.message


def test_a_cancelled_parallel_forgets_what_had_not_begun(play):
    run = play(
        """
        try:
            async with asyncio.timeout(60):
                await step.parallel(*[step.job(name, 'x') for name in 'abc'], limit=1)
        except TimeoutError:
            return "late"
        """
    )
    run.start()
    end = run.wake()
    assert (keys(end), end.end.output) == ([], "late")


def test_a_limited_parallel_of_steps_that_end_at_once_takes_one_turn(play):
    body = "return await step.parallel(*[step.do(str(n), int, n) for n in range(50)], limit=3)"
    assert play(body).start().end.output == list(range(50))


def test_what_a_plan_prints_is_kept_with_its_turn(play):
    run = play("print('one')\nawait step.sleep('s', 5)\nprint('two')")
    assert run.start().printed == "one\n"
    assert run.wake().printed == "two\n"


def test_an_error_in_a_background_task_is_printed_or_raised_never_lost(play):
    run = play(
        """
        async def broken():
            raise ValueError("in the background")
        task = asyncio.create_task(broken())
        await asyncio.sleep(0)
        del task
        """
    )
    assert "ValueError: in the background" in run.start().printed


def test_except_exception_cannot_swallow_a_limit(play):
    run = play(
        """
        while True:
            try:
                print("x" * 1000)
            except Exception:
                pass
        """
    )
    end = run.start()
    assert end.end.error.type == "LimitBreached"
    assert "more than 65536 characters" in end.end.error.message
    assert end.end.error.line is not None


def test_printing_has_its_limit_at_64_kibibytes(play):
    assert play("print('x' * 65535)").start().end.state == "succeeded"
    assert play("print('x' * 65536)").start().end.error.type == "LimitBreached"


def test_a_turn_may_ask_for_10000_things_and_not_one_more(play):
    body = "for _ in range({}):\n    await step.do('x', int)"
    assert len(play(body.format(10_000)).start().commands) == 10_000
    end = play(body.format(10_001)).start()
    assert end.end.error.type == "LimitBreached"
    assert "more than 10000 things in one turn" in end.end.error.message
    assert end.end.error.file == ".staunch/pipeline.py"


def test_a_breach_leaves_nothing_wanted_but_the_end_of_its_jobs(play):
    run = play(
        """
        await asyncio.gather(step.job('a', 'x'), step.gate('g'), step.wait_for_event('w'),
                             asyncio.to_thread(print) if False else asyncio.sleep(0))
        """,
    )
    run.start()
    broken = play(
        "task = asyncio.create_task(step.job('a', 'x'))\nawait asyncio.sleep(0)\nprint('x' * 70000)"
    )
    end = broken.start()
    assert [(j.key, j.cancelling) for j in end.open.jobs] == [("a", True)]
    assert (end.open.gates, end.open.waits, end.wake_at) == ([], [], None)


def test_sys_exit_is_a_failure_that_says_what_to_do(play):
    error = play("import sys\nsys.exit(3)").start().end.error
    assert error.type == "SystemExit"
    assert "return from run, or raise" in error.message


def test_an_output_that_is_no_plain_data_fails_the_run(play):
    error = play("return object()").start().end.error
    assert "what run() returned is no plain data" in error.message


def test_addresses_are_cut_out_of_messages(play):
    error = play("raise ValueError(object())").start().end.error
    assert error.message == "<object object at 0x…>"


def test_half_characters_do_not_break_a_turn(play):
    end = play("print('\\ud800')\nraise ValueError('\\ud800')").start()
    assert end.printed == "?\n"
    assert end.end.error.message == "?"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("step.jib('x')", "there is no step.jib: did you mean step.job?"),
        ("step.job('', run='x')", "a step's name must have 1 to 256 characters, not 0"),
        ("step.job('x' * 257, run='x')", "must have 1 to 256 characters, not 257"),
        ("step.job(7, run='x')", "a step's name must be a text, not 7"),
        ("step.job('a/b', run='x')", "for groups of steps use step.scope(name)"),
        ("step.job('a#2', run='x')", "cannot hold '#'"),
        ("step.job('a\\nb', run='x')", "cannot hold '\\n'"),
        ("step.job('a', run=7)", "run must be a command, shell(…), or a list of these, not int"),
        ("step.job('a', run=[])", "run must have 1 to 200 commands, not 0"),
        ("step.job('a', run='x', env={'P': 5})", "env['P'] is of type int; write str(…)"),
        ("step.job('a', run='x', env={'A=B': '5'})", "no name of a variable"),
        ("step.job('a', run='x', timeout='soon')", "timeout 'soon' is no duration"),
        ("step.job('a', run='x', retries=3)", "write retries=Retry(3)"),
        ("step.job('a', run='x', volumes='v')", "volumes=['v']"),
        ("step.job('a', run='x', image='a b')", "image must be a name"),
        ("step.job('a', run='x', network='host')", '"none" or "egress", not \'host\''),
        ("step.job('a', run='x', egress=['a.org'])", 'network="egress"'),
        ("step.job('a', run='x', network='egress', egress='a.org')", "must be a list of hosts"),
        ("step.job('a', run='x', network='egress', egress=['a b'])", "is no target"),
        ("step.job('a', run='x', isolation='vm')", "isolation must be 'sandbox'"),
        ("step.job('a', run='x', wait_on_failure='5h')", "may wait for four hours at most"),
        ("step.job('a', run='x', wait_on_failure='1m', debuggers='@ops')", "a list of names"),
        ("step.job('a', run='x', debuggers=['@ops'])", "who may look into a job with wait_on_fail"),
        ("step.job('a', run='x', labels='gpu')", "labels=['gpu']"),
        ("step.job('a', run='x', labels=['a b'])", "a label has letters, digits"),
        ("step.job('a', run='x', labels=[7])", "a label must be a text, not 7"),
        ("step.job('a', run='x', labels=[f'l{n}' for n in range(21)])", "20 are allowed"),
        ("step.job('a', run='x', pool='b', labels=['gpu'])", "a pool, or the labels that it must"),
        ("step.sleep('a', -1)", "between 0 and 100 years"),
        ("step.sleep('a', True)", "must be seconds or a text"),
        ("step.gate('a', approvers='ann')", "approvers=['ann']"),
        ("step.gate('a', needed=0)", "needed must be 1 to 100"),
        ("step.gate('a', approvers=['ann'], needed=2)", "only 1 approvers"),
        ("step.gate('a', inputs={'x': list})", "must be str, int, float or bool"),
        ("step.parallel([step])", "step.parallel got list as argument 1"),
        ("step.parallel(limit=0)", "limit must be at least 1, not 0"),
        ("step.parallel(limit=True)", "limit must be a whole number, not True"),
        (
            "step.parallel(asyncio.ensure_future(asyncio.sleep(0)), limit=1)",
            "got a task as argument 1, which runs already",
        ),
        ("step.wait_for_event('a', event=3)", "event must be the signal's name"),
        ("Retry(-1)", "limit must be 0 to 1000"),
        ("Retry(1, backoff='fast')", "constant, linear or exponential"),
        ("Retry(1, on=['bad'])", "Retry's on has 'bad'; outcomes are failed"),
        ("Retry(1, on='lost')", "on=['lost']"),
        ("on.comment()", "there is no on.comment; there are push"),
    ],
)
def test_a_wrong_argument_says_what_would_be_right(play, body, says):
    error = play(f"await {body}").start().end.error
    assert says in error.message
    assert error.file == ".staunch/pipeline.py"


@pytest.mark.parametrize("name", ["build (3.13, linux)", "déploiement", "a.b-c_d", "x" * 256])
def test_a_name_may_hold_what_people_write(play, name):
    assert keys(play(f"await step.do({name!r}, int)").start()) == [name]


def test_equal_requests_have_equal_fingerprints_and_others_do_not(play):
    run = play(
        """
        await step.scope('a').do('x', int, retries=Retry(1))
        await step.parallel(step.job('x', 'a'), step.job('x', 'a'), step.job('y', 'b'))
        """
    )
    first = [c.fingerprint for c in run.start().commands]
    assert len(set(first)) == 4
    assert first == [c.fingerprint for c in run.replayed()[0].commands]
