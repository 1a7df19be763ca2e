"""step.do: values, errors, retries, time-outs."""

from pipelines.commands import StepState


def states(outcome):
    return [(r.key, str(r.state), r.attempt) for r in outcome.results]


def test_a_do_that_does_not_wait_has_command_and_result_in_one_turn(play):
    end = play("return await step.do('double', lambda x: 2 * x, 21)").start()
    assert [c.key for c in end.commands] == ["double"]
    assert states(end) == [("double", "succeeded", 1)]
    assert end.end.output == 42


def test_a_value_comes_back_as_the_plain_data_it_is_stored_as(play):
    end = play("return await step.do('pair', lambda: {'a': (1, 2), 3: None})").start()
    assert end.end.output == {"a": [1, 2], "3": None}


def test_a_value_that_is_no_plain_data_is_an_error_that_says_what_to_return(play):
    failure = play("await step.do('object', object)").start().end.error
    assert failure.type == "TypeError"
    assert "the value of step 'object' is no plain data" in failure.message
    assert "dataclasses.asdict" in failure.message


def test_not_a_number_is_refused(play):
    assert "no plain data" in play("await step.do('x', float, 'nan')").start().end.error.message


def test_a_value_may_have_sixteen_mebibytes_and_no_byte_more(play):
    body = "return len(await step.do('big', lambda: 'x' * {size}))"
    assert play(body.format(size=16_777_214)).start().end.output == 16_777_214
    failure = play(body.format(size=16_777_215)).start().end.error
    assert "16777217 bytes as JSON; 16777216 are allowed" in failure.message


def test_an_error_reaches_the_plan_as_the_exception_it_was(play):
    end = play(
        """
        try:
            await step.do('parse', int, 'x')
        except ValueError as error:
            return str(error)
        """
    ).start()
    assert "invalid literal" in end.end.output
    assert states(end) == [("parse", "failed", 1)]


def test_an_uncaught_error_names_step_file_and_line(play):
    top = """
    def broken():
        raise KeyError("nothing")
    """
    run = play("await step.do('look', broken)", top)
    end = run.start()
    assert end.end.state == "failed"
    assert end.end.error.file == ".staunch/pipeline.py"
    line = run.source.splitlines()[end.end.error.line - 1]
    assert "raise KeyError" in line
    assert end.results[0].error.step == "look"
    assert "in broken" in end.end.error.traceback
    assert "work.py" not in end.end.error.traceback


def test_retries_wait_on_the_runs_clock_and_keep_each_attempt(play):
    run = play(
        """
        tries = []
        def flaky():
            tries.append(1)
            if len(tries) < 3:
                raise OSError("not yet")
            return len(tries)
        retry = Retry(2, delay="10s", backoff="exponential", jitter=False)
        return await step.do('flaky', flaky, retries=retry)
        """
    )
    first = run.start()
    assert states(first) == [("flaky", "retrying", 1)]
    assert first.wake_at == run.at + 10
    second = run.wake()
    assert states(second) == [("flaky", "retrying", 2)]
    assert second.wake_at == run.at + 20
    third = run.wake()
    assert states(third) == [("flaky", "succeeded", 3)]
    assert third.end.output == 3


def test_the_last_error_is_raised_when_no_retry_is_left(play):
    run = play("await step.do('never', int, 'x', retries=Retry(1, delay=1))")
    run.start()
    end = run.wake()
    assert end.end.error.type == "ValueError"
    assert states(end) == [("never", "failed", 2)]


def test_non_retryable_ends_the_retries(play):
    top = """
    def stop():
        raise NonRetryable("it is the wrong branch")
    """
    end = play("await step.do('stop', stop, retries=Retry(5))", top).start()
    assert states(end) == [("stop", "failed", 1)]
    assert end.end.error.message == "it is the wrong branch"


def test_jitter_stays_between_half_and_whole_and_comes_from_the_seed(play):
    body = "await step.do('x', int, 'x', retries=Retry(1, delay='100s'))"
    waits = {seed: play(body, seed=seed).start() for seed in ("a", "b")}
    pauses = {seed: outcome.wake_at - outcome.now for seed, outcome in waits.items()}
    assert all(50 <= pause <= 100 for pause in pauses.values())
    assert pauses["a"] != pauses["b"]
    assert play(body, seed="a").start().wake_at == waits["a"].wake_at


def test_an_async_body_may_wait_and_times_out_on_the_runs_clock(play):
    top = """
    async def slow():
        await asyncio.sleep(100)
    """
    run = play("await step.do('slow', slow, timeout='30s')", top)
    assert run.start().wake_at == run.at + 30
    end = run.wake()
    assert end.results[0].state is StepState.TIMED_OUT
    assert end.end.error.type == "StepTimedOut"
    assert end.end.error.message == "step 'slow' was not done within 30 s"


def test_a_body_that_catches_its_cancellation_has_timed_out_all_the_same(play):
    top = """
    async def stubborn():
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return "as if nothing were"
    """
    run = play("await step.do('stubborn', stubborn, timeout='30s')", top)
    run.start()
    end = run.wake()
    assert end.results[0].state is StepState.TIMED_OUT
    assert end.end.error.type == "StepTimedOut"


def test_a_step_inside_a_body_is_a_clear_error(play):
    top = """
    async def body(step):
        await step.job('inner', run='true')
    """
    failure = play("await step.do('outer', body, step)", top).start().end.error
    assert failure.type == "RuntimeError"
    assert "step.job('inner') was called inside the body of step.do('outer')" in failure.message


def test_a_lambda_around_an_async_function_is_a_clear_error(play):
    top = """
    async def body():
        return 1
    """
    failure = play("await step.do('x', lambda: body())", top).start().end.error
    assert "pass the async function itself" in failure.message


def test_a_called_function_instead_of_a_function_is_a_clear_error(play):
    failure = play("await step.do('x', len('abc'))").start().end.error
    assert "step.do needs a function, not int" in failure.message


def test_a_recorded_value_is_taken_and_the_body_not_run_again(play):
    top = """
    calls = []
    def body():
        calls.append(1)
        return 7
    """
    run = play("value = await step.do('x', body)\nreturn [value, len(calls)]", top)
    assert run.start().end.output == [7, 1]
    assert run.replayed()[0].end.output == [7, 0]


def test_a_body_that_is_not_run_again_shifts_no_random_number(play):
    run = play(
        """
        first = random.random()
        inner = await step.do('dice', random.random)
        import uuid
        return [first, inner, random.random(), str(uuid.uuid4())]
        """
    )
    live = run.start()
    [again] = run.replayed()
    assert again.end.output == live.end.output
    assert again.digest == live.digest


def test_each_attempt_has_random_numbers_of_its_own(play):
    end = play(
        """
        a = await step.do('a', random.random)
        b = await step.do('b', random.random)
        return a != b
        """
    ).start()
    assert end.end.output is True


def test_a_value_that_holds_itself_is_refused(play):
    body = "value = []\nvalue.append(value)\nawait step.do('loop', lambda: value)"
    assert "nested too deeply" in play(body).start().end.error.message


def test_a_dict_comes_back_in_its_own_order(play):
    run = play("return list(await step.do('x', lambda: {'b': 1, 'a': {'d': 1, 'c': 2}}))")
    assert run.start().end.output == ["b", "a"]
    assert run.replayed()[0].end.output == ["b", "a"]


def test_a_sensitive_value_is_marked_kept_and_replayed(play):
    top = """
    calls = []
    def secret():
        calls.append(1)
        return "swordfish"
    """
    run = play(
        "value = await step.do('x', secret, sensitive=True)\nreturn [value, len(calls)]", top
    )
    live = run.start()
    assert (live.results[0].value, live.results[0].sensitive) == ("swordfish", True)
    assert live.results[0].shown().value == "(sensitive)"
    [again] = run.replayed()
    assert again.end.output == ["swordfish", 0]
    assert again.results == live.results


def test_a_failing_sensitive_step_has_no_value_to_show_but_its_own_text(play):
    top = """
    def odd():
        return {"swordfish"}
    """
    end = play("await step.do('x', odd, sensitive=True)", top).start()
    assert "the value of step 'x' is no plain data" in end.end.error.message
    assert "swordfish" not in end.end.error.message


def test_sensitive_is_true_or_false(play):
    error = play("await step.do('x', int, sensitive='yes')").start().end.error
    assert error.message == "sensitive must be True or False, not 'yes'"
