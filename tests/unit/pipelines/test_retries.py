"""Retry and RetryAfter: who chooses the pause before the next attempt."""

import pytest

from pipelines.failure import FailureKind
from pipelines.job import Outcome


def states(outcome):
    return [(r.key, str(r.state), r.attempt) for r in outcome.results]


def test_a_function_of_the_attempt_gives_the_pause_itself(play):
    run = play(
        "await step.do('x', int, 'x', retries=Retry(2, backoff=lambda attempt: 5 * attempt))"
    )
    assert run.start().wake_at == run.at + 5
    assert run.wake().wake_at == run.at + 10
    assert run.wake().end.error.type == "ValueError"


def test_a_function_may_give_a_text_and_its_pause_has_a_maximum(play):
    retry = "Retry(2, max_delay='1m', backoff=lambda attempt: '90s' if attempt == 2 else '30s')"
    run = play(f"await step.job('x', 'x', retries={retry})")
    run.start()
    assert run.job("x", Outcome.LOST).wake_at == run.at + 30
    run.wake()
    assert run.job("x", Outcome.LOST, attempt=2).wake_at == run.at + 60


@pytest.mark.parametrize(
    ("backoff", "says"),
    [
        ("'soon'", "what Retry's backoff gave for attempt 1 'soon' is no duration"),
        ("None", "what Retry's backoff gave for attempt 1 must be seconds or a text"),
        ("-1", "what Retry's backoff gave for attempt 1 -1 must be between 0 and 100 years"),
        ("{}['gone']", "gone"),
    ],
)
@pytest.mark.parametrize("verb", ["do", "job"])
def test_a_function_that_gives_no_pause_fails_the_step_and_says_why(play, backoff, says, verb):
    what = {"do": "int, 'x'", "job": "'x'"}[verb]
    run = play(
        f"await step.{verb}('a', {what}, retries=Retry(3, backoff=lambda n: " + backoff + "))"
    )
    end = run.start()
    if verb == "job":
        end = run.job("a", Outcome.FAILED)
    assert states(end) == [("a", "failed", 1)]
    assert says in end.end.error.message
    assert end.end.error.file == ".staunch/pipeline.py"
    assert "This led to" in end.end.error.traceback


def test_a_body_may_choose_the_pause_itself(play):
    run = play(
        """
        tries = []
        def busy():
            tries.append(1)
            if len(tries) == 1:
                raise RetryAfter('2h', 'too many requests')
            return len(tries)
        return await step.do('ask', busy, retries=Retry(1, delay=1, max_delay=5))
        """
    )
    first = run.start()
    assert states(first) == [("ask", "retrying", 1)]
    assert first.results[0].error.kind is FailureKind.TRANSIENT
    assert first.results[0].error.message == "too many requests"
    assert first.wake_at == run.at + 7200
    assert run.wake().end.output == 2


def test_the_pause_it_chose_counts_as_a_retry_and_they_end(play):
    top = """
    async def busy():
        raise RetryAfter(30)
    """
    run = play("await step.do('ask', busy, retries=Retry(1))", top)
    run.start()
    end = run.wake()
    assert states(end) == [("ask", "failed", 2)]
    assert (end.end.error.type, end.end.error.message) == ("RetryAfter", "try again after 30 s")
    assert end.end.error.kind is FailureKind.TRANSIENT


def test_without_retries_it_is_an_error_like_others(play):
    top = """
    def busy():
        raise RetryAfter(30)
    """
    body = """
    try:
        await step.do('ask', busy)
    except RetryAfter as error:
        return error.seconds
    """
    assert play(body, top).start().end.output == 30


@pytest.mark.parametrize("delay", ["'soon'", "None", "-1", "float('inf')"])
def test_a_wrong_pause_is_a_mistake_of_the_body(play, delay):
    top = f"""
    def busy():
        raise RetryAfter({delay})
    """
    error = play("await step.do('ask', busy, retries=Retry(0))", top).start().end.error
    assert error.type in ("TypeError", "ValueError")
    assert "RetryAfter's delay" in error.message


def test_a_function_as_delay_is_told_where_it_belongs(play):
    error = play("Retry(1, delay=lambda n: n)").start().end.error
    assert "write Retry(3, backoff=function)" in error.message


CODES = "Retry(2, on=['lost', 'timed_out'], delay=0, exit_codes=[75, 69])"


@pytest.mark.parametrize(
    ("outcome", "code", "is_tried"),
    [
        (Outcome.FAILED, 75, True),
        (Outcome.FAILED, 69, True),
        (Outcome.FAILED, 1, False),
        (Outcome.LOST, None, True),
        (Outcome.TIMED_OUT, 1, True),
        (Outcome.CANCELLED, 75, False),
        (Outcome.REFUSED, None, False),
    ],
)
def test_a_job_is_tried_again_by_why_it_ended(play, outcome, code, is_tried):
    run = play(f"await step.job('x', 'x', retries={CODES})")
    run.start()
    found = run.job("x", outcome, code=code)
    if is_tried:
        assert states(found) == [("x", "retrying", 1)]
    else:
        assert states(found) == [("x", str(found.results[0].state), 1)]
        assert found.end.error.type == "JobFailed"


def test_exit_codes_count_whatever_on_says_of_failed(play):
    run = play("await step.job('x', 'x', retries=Retry(2, delay=0, exit_codes=[75]))")
    run.start()
    assert run.job("x", Outcome.FAILED, code=1).end.error.type == "JobFailed"


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        ("75", "must be a list of numbers"),
        ("'75'", "must be a list of numbers"),
        ("[0]", "has 0; they are 1 to 255"),
        ("[256]", "has 256; they are 1 to 255"),
        ("[True]", "has True; they are 1 to 255"),
        ("['75']", "has '75'; they are 1 to 255"),
    ],
)
def test_exit_codes_that_there_are_not_are_refused_where_they_are_written(play, codes, says):
    run = play(f"await step.job('x', 'x', retries=Retry(2, exit_codes={codes}))")
    assert says in run.start().end.error.message


def test_a_step_without_an_exit_code_takes_none(play):
    run = play("await step.do('x', int, '1', retries=Retry(2, exit_codes=[75]))")
    assert "exit_codes are for step.job" in run.start().end.error.message
