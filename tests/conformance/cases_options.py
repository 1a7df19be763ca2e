"""Cases of names and options: what a step may be called and what may be said of it."""

from tests.conformance.stage import Case, send

NAMES = {
    "a_control_character": Case(
        "await step.do('a\\0b', int)", error=("ValueError", "cannot hold '\\x00'"), results=()
    ),
    "too_long": Case(
        "await step.do('w' * 257, int)", error=("ValueError", "1 to 256 characters"), results=()
    ),
    "only_blanks": Case(
        "await step.do('  ', int)", error=("ValueError", "1 to 256 characters"), results=()
    ),
    "a_word": Case("await step.do('abc', int)", results=("abc succeeded",)),
    "letters_digits_and_signs": Case(
        "await step.do('NAME_123-hello', int)", results=("NAME_123-hello succeeded",)
    ),
    "with_hyphens": Case("await step.do('a-good-name', int)", results=("a-good-name succeeded",)),
    "as_long_as_may_be": Case("await step.do('w' * 256, int)", results=("w" * 256 + " succeeded",)),
    "with_blanks": Case("await step.do('a good name', int)", results=("a good name succeeded",)),
}

OPTIONS = {
    "only_how_often": Case("await step.do('x', int, retries=Retry(1))", results=("x succeeded",)),
    "a_pause_and_not_how_often": Case(
        "await step.do('x', int, retries=Retry(delay=50))", error=("TypeError", "limit"), results=()
    ),
    "a_growth_and_not_how_often": Case(
        "await step.do('x', int, retries=Retry(backoff='exponential'))",
        error=("TypeError", "limit"),
        results=(),
    ),
    "one_that_there_is_not": Case(
        "await step.do('x', int, retries=Retry(5, delay='10m', colour='green'))",
        error=("TypeError", "colour"),
        results=(),
    ),
    "a_pause_that_is_none": Case(
        "await step.do('x', int, retries=Retry(3, delay='a while'))",
        error=("ValueError", "Retry's delay 'a while' is no duration"),
        results=(),
    ),
    "years": Case(
        "await step.do('x', int, timeout='5 years')",
        error=("ValueError", "timeout '5 years' is no duration"),
        results=(),
    ),
    "less_than_nothing": Case(
        "await step.do('x', int, timeout=-1)", error=("ValueError", "timeout -1"), results=()
    ),
    "not_a_number": Case(
        "await step.do('x', int, timeout=float('nan'))", error=("ValueError", "nan"), results=()
    ),
    "no_time_at_all": Case(
        """
        began = now()
        try:
            await step.do("x", asyncio.sleep, 1, timeout=0)
        except StepTimedOut as error:
            return [error.seconds, now() - began]
        """,
        output=[0, 0],
        results=("x timed_out",),
    ),
    "a_time_for_what_cannot_wait": Case(
        "return await step.do('x', lambda: 'at once', timeout=5)", output="at once"
    ),
    "sensitive_and_a_text": Case(
        "await step.do('x', int, sensitive='all')",
        error=("TypeError", "sensitive must be True or False"),
        results=(),
    ),
    "sensitive": Case(
        """
        secret = await step.do("x", lambda: "hush", sensitive=True)
        await step.wait_for_event("go")
        return await step.do("length", len, secret)
        """,
        (send("go"),),
        output=4,
    ),
    "a_function_for_the_pause": Case(
        """
        retry = Retry(3, backoff=lambda attempt: "10s")
        await step.do("x", int, retries=retry, timeout="10m")
        """,
        results=("x succeeded",),
    ),
    "no_further_attempt": Case(
        """
        retry = Retry(0, delay=100_000, backoff="exponential")
        await step.do("x", int, "no number", retries=retry, timeout="15m")
        """,
        error=("ValueError", "no number"),
        results=("x failed",),
    ),
    "no_pause": Case(
        """
        began = now()
        retry = Retry(5, delay=0, backoff="constant")
        try:
            await step.do("x", int, "no number", retries=retry, timeout="2m")
        except ValueError:
            return now() - began
        """,
        output=0,
        results=("x retrying",) * 5 + ("x failed",),
    ),
    "all_of_them": Case(
        """
        retry = Retry(3, delay=10, backoff="constant")
        await step.do("x", int, retries=retry, timeout="2m", sensitive=True)
        """,
        results=("x succeeded",),
    ),
    "two_branches_and_nothing_in_them": Case("return await step.parallel()", output=[]),
}
