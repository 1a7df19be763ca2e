"""Cases of attempts: how often a step is tried, how long it waits, how long it may take."""

from pipelines.job import Outcome
from tests.conformance.stage import Case, report, wake

FAILED, LOST, TIMED_OUT = Outcome.FAILED, Outcome.LOST, Outcome.TIMED_OUT
FLAKY = """
TRIES = []
def flaky(times, error=ValueError):
    TRIES.append(now())
    if len(TRIES) <= times:
        raise error(f"try {len(TRIES)}")
    return len(TRIES)
"""

RETRIES = {
    "attempts_have_numbers": Case(
        """
        done = await step.job("x", run="x", retries=Retry(3, delay=5))
        return done.attempt
        """,
        (report("x", FAILED), wake, report("x", FAILED, 2), wake, report("x", attempt=3)),
        output=3,
        jobs=(("x", 1), ("x", 2), ("x", 3)),
    ),
    "first_attempt_is_one": Case(
        "return (await step.job('x', run='x', retries=Retry(3))).attempt",
        (report("x"),),
        output=1,
        jobs=(("x", 1),),
    ),
    "a_do_until_it_succeeds": Case(
        "return await step.do('x', flaky, 2, retries=Retry(5, delay=3))",
        (wake, wake),
        output=3,
        top=FLAKY,
        results=("x retrying", "x retrying", "x succeeded"),
    ),
    "pauses_are_waited_for": Case(
        """
        began = now()
        retry = Retry(3, delay=10, backoff="exponential", jitter=False)
        await step.do("x", flaky, 3, retries=retry)
        return now() - began
        """,
        (wake, wake, wake),
        output=70,
        top=FLAKY,
    ),
    "no_pause_after_the_last": Case(
        """
        began = now()
        try:
            retry = Retry(2, delay=10, backoff="constant", jitter=False)
            await step.do("x", flaky, 9, retries=retry)
        except ValueError as error:
            return [str(error), now() - began]
        """,
        (wake, wake),
        output=["try 3", 20],
        top=FLAKY,
        results=("x retrying", "x retrying", "x failed"),
    ),
    "no_pause_after_the_last_async": Case(
        """
        async def body():
            return flaky(9)
        began = now()
        try:
            await step.do("x", body, retries=Retry(1, delay=10, jitter=False))
        except ValueError as error:
            return [str(error), now() - began]
        """,
        (wake,),
        output=["try 2", 10],
        top=FLAKY,
    ),
    "pause_by_a_function": Case(
        """
        began = now()
        got = await step.do("x", flaky, 2, retries=Retry(2, backoff=lambda attempt: 7 * attempt))
        return [got, now() - began]
        """,
        (wake, wake),
        output=[3, 21],
        top=FLAKY,
    ),
    "function_of_the_pause_raises": Case(
        """
        def broken(attempt):
            raise KeyError("no such pause")
        await step.do("x", flaky, 9, retries=Retry(5, backoff=broken))
        """,
        error=("KeyError", "no such pause"),
        top=FLAKY,
        results=("x failed",),
    ),
    "function_gives_nonsense": Case(
        "await step.do('x', flaky, 9, retries=Retry(5, backoff=lambda attempt: 'soon'))",
        error=("ValueError", "is no duration"),
        top=FLAKY,
        results=("x failed",),
    ),
    "not_worth_retrying": Case(
        "await step.do('x', flaky, 9, NonRetryable, retries=Retry(5))",
        error=("NonRetryable", "try 1"),
        top=FLAKY,
        results=("x failed",),
    ),
    "own_kind_of_not_retryable": Case(
        """
        class Hopeless(NonRetryable):
            pass
        await step.do("x", flaky, 9, Hopeless, retries=Retry(5))
        """,
        error=("Hopeless", "try 1"),
        top=FLAKY,
        results=("x failed",),
    ),
    "fatal_after_a_retry": Case(
        """
        def body():
            TRIES.append(1)
            raise OSError("passing") if len(TRIES) == 1 else NonRetryable("for good")
        await step.do("x", body, retries=Retry(5, delay=1))
        """,
        (wake,),
        error=("NonRetryable", "for good"),
        top=FLAKY,
        results=("x retrying", "x failed"),
    ),
    "fatal_on_the_last_attempt": Case(
        """
        def body():
            TRIES.append(1)
            raise OSError("passing") if len(TRIES) == 1 else NonRetryable("for good")
        await step.do("x", body, retries=Retry(1, delay=1))
        """,
        (wake,),
        error=("NonRetryable", "for good"),
        top=FLAKY,
        results=("x retrying", "x failed"),
    ),
    "not_retryable_is_caught": Case(
        """
        try:
            await step.do("x", flaky, 9, NonRetryable, retries=Retry(5))
        except NonRetryable as error:
            return await step.do("after", lambda: f"went on after {error}")
        """,
        output="went on after try 1",
        top=FLAKY,
    ),
    "only_some_outcomes": Case(
        """
        try:
            await step.job("x", run="x", retries=Retry(5, delay=1, on=["lost"]))
        except JobFailed as error:
            return [error.outcome, error.attempt]
        """,
        (report("x", LOST), wake, report("x", FAILED, 2)),
        output=["failed", 2],
        jobs=(("x", 1), ("x", 2)),
    ),
    "no_retries_at_all": Case(
        "await step.job('x', run='x', retries=Retry(0))",
        (report("x", LOST),),
        error=("JobFailed", "lost"),
        jobs=(("x", 1),),
    ),
    "used_up_and_caught": Case(
        """
        try:
            await step.job("x", run="x", retries=Retry(1, delay=1))
        except JobFailed:
            return (await step.job("y", run="y")).exit_code
        """,
        (report("x", FAILED), wake, report("x", FAILED, 2), report("y")),
        output=0,
        jobs=(("x", 1), ("x", 2), ("y", 1)),
    ),
    "plan_cannot_change_it_meanwhile": Case(
        """
        retry = Retry(2, delay=1)
        def body():
            TRIES.append(1)
            retry.limit = 99
        await step.do("x", body, retries=retry)
        """,
        (wake, wake),
        error=("FrozenInstanceError", "limit"),
        top=FLAKY,
        results=("x retrying", "x retrying", "x failed"),
    ),
    "an_attempt_takes_too_long": Case(
        """
        began = now()
        try:
            await step.do("x", asyncio.sleep, 100, timeout=5)
        except StepTimedOut as error:
            return [error.seconds, now() - began]
        """,
        (wake,),
        output=[5, 5],
        results=("x timed_out",),
    ),
    "each_attempt_has_its_time": Case(
        """
        began = now()
        try:
            retry = Retry(2, delay=1, backoff="constant", jitter=False)
            await step.do("x", asyncio.sleep, 100, timeout=5, retries=retry)
        except StepTimedOut:
            return now() - began
        """,
        (wake, wake, wake, wake, wake),
        output=17,
        results=("x retrying", "x retrying", "x timed_out"),
    ),
    "a_time_out_not_reached": Case(
        """
        async def body():
            await asyncio.sleep(1)
            return "in time"
        return await step.do("x", body, timeout=5)
        """,
        (wake,),
        output="in time",
    ),
    "a_time_out_keeps_the_error": Case(
        """
        async def body():
            raise LookupError("of the body")
        await step.do("x", body, timeout=5)
        """,
        error=("LookupError", "of the body"),
        results=("x failed",),
    ),
    "a_bodys_own_time_out_is_its_own": Case(
        """
        async def body():
            raise TimeoutError("of the body")
        await step.do("x", body, timeout=5)
        """,
        error=("TimeoutError", "of the body"),
        results=("x failed",),
    ),
    "a_job_takes_too_long": Case(
        """
        try:
            await step.job("x", run="x", timeout="5m")
        except JobFailed as error:
            return error.outcome
        """,
        (report("x", TIMED_OUT),),
        output="timed_out",
    ),
    "not_worth_retrying_async": Case(
        """
        async def body():
            return flaky(9, NonRetryable)
        await step.do("x", body, retries=Retry(5))
        """,
        error=("NonRetryable", "try 1"),
        top=FLAKY,
        results=("x failed",),
    ),
    "a_body_says_which_errors_are_worth_it": Case(
        """
        def body():
            try:
                return flaky(2, KeyError if len(TRIES) == 1 else OSError)
            except KeyError as error:
                raise NonRetryable("no such thing") from error
        await step.do("x", body, retries=Retry(5, delay=1))
        """,
        (wake,),
        error=("NonRetryable", "no such thing"),
        top=FLAKY,
        results=("x retrying", "x failed"),
    ),
    "pause_by_an_async_function": Case(
        """
        async def later(attempt):
            return 5
        await step.do("x", flaky, 9, retries=Retry(5, backoff=later))
        """,
        error=("TypeError", "what Retry's backoff gave for attempt 1 must be seconds"),
        top=FLAKY,
        results=("x failed",),
    ),
    "an_attempt_that_is_over_cleans_up": Case(
        """
        seen = []
        async def body():
            try:
                await asyncio.sleep(100)
            finally:
                seen.append(now())
        began = now()
        try:
            await step.do("x", body, timeout=5)
        except StepTimedOut:
            return [at - began for at in seen]
        """,
        (wake,),
        output=[5],
        results=("x timed_out",),
    ),
    "a_body_that_swallows_its_end": Case(
        """
        async def body():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                return "as if nothing were"
        await step.do("x", body, timeout=5)
        """,
        (wake,),
        error=("StepTimedOut", "5 s"),
        results=("x timed_out",),
    ),
    "a_time_out_that_is_not_tried_again": Case(
        """
        retry = Retry(5, delay=1, on=["failed"])
        await step.do("x", asyncio.sleep, 100, timeout=5, retries=retry)
        """,
        (wake,),
        error=("StepTimedOut", "5 s"),
        results=("x timed_out",),
    ),
}
