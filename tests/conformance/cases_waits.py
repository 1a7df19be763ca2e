"""Cases of sleeps and of events."""

from pipelines.run import RunState
from tests.conformance.stage import Case, holds, later, report, send, wake

RUNNING = RunState.RUNNING

SLEEPS = {
    "for_a_time": Case(
        "began = now()\nawait step.sleep('rest', '2h')\nreturn now() - began", (wake,), output=7200
    ),
    "not_before_its_time": Case(
        "await step.sleep('rest', 100)\nreturn 'rested'",
        (later(99), holds(RUNNING), later(1)),
        output="rested",
    ),
    "for_a_year": Case(
        "began = now()\nawait step.sleep('rest', '365d')\nreturn (now() - began) / 86400",
        (wake,),
        output=365,
    ),
    "until_a_time": Case(
        """
        due = now() + 50
        await step.sleep_until("then", due)
        return now() - due
        """,
        (wake,),
        output=0,
    ),
    "until_a_time_that_is_past": Case(
        "await step.sleep_until('then', now() - 50)\nreturn 'at once'", output="at once"
    ),
    "one_after_another": Case(
        """
        began = now()
        for n in (1, 2, 3):
            await step.sleep("rest", n)
        return now() - began
        """,
        (wake, wake, wake),
        output=6,
        results=("rest succeeded", "rest#2 succeeded", "rest#3 succeeded"),
    ),
}

EVENTS = {
    "while_it_waits": Case(
        "return await step.wait_for_event('go')", (send("go", {"n": 1}),), output={"n": 1}
    ),
    "before_it_waits": Case(
        """
        await step.job("first", run="x")
        return await step.wait_for_event("go")
        """,
        (send("go", "early"), report("first")),
        output="early",
    ),
    "before_it_begins": Case(
        "return await step.wait_for_event('go')", (send("go", "first"),), output="first", early=True
    ),
    "one_after_another": Case(
        "return [await step.wait_for_event('go') for _ in range(3)]",
        (send("go", 1), send("go", 2), send("go", 3)),
        output=[1, 2, 3],
    ),
    "together_and_early": Case(
        "return [await step.wait_for_event('go') for _ in range(3)]",
        (send("go", 1), send("go", 2), send("go", 3)),
        output=[1, 2, 3],
        early=True,
    ),
    "of_different_kinds": Case(
        """
        b = await step.wait_for_event("second", event="b")
        a = await step.wait_for_event("first", event="a")
        return [a, b]
        """,
        (send("a", 1), send("b", 2)),
        output=[1, 2],
    ),
    "none_in_time": Case(
        """
        began = now()
        try:
            await step.wait_for_event("go", timeout="1d")
        except StepTimedOut as error:
            return [error.step, now() - began]
        """,
        (wake,),
        output=["go", 86400],
        results=("go timed_out",),
    ),
    "none_in_time_and_nobody_catches": Case(
        "await step.wait_for_event('go', timeout=5)",
        (wake,),
        error=("StepTimedOut", "'go' was not done within 5 s"),
    ),
    "after_a_time_out_for_the_next_wait": Case(
        """
        try:
            await step.wait_for_event("first", event="go", timeout=5)
        except StepTimedOut:
            return await step.wait_for_event("second", event="go", timeout="1d")
        """,
        (wake, send("go", "late")),
        output="late",
        results=("first timed_out", "second succeeded"),
    ),
    "twice_the_same": Case(
        """
        first = await step.wait_for_event("go")
        try:
            return [first, await step.wait_for_event("go", timeout=5)]
        except StepTimedOut:
            return [first]
        """,
        (send("go", 1, "same"), send("go", 1, "same"), wake),
        output=[1],
    ),
    "two_wait_for_the_same": Case(
        """
        return await asyncio.gather(
            step.wait_for_event("a", event="go"), step.wait_for_event("b", event="go")
        )
        """,
        (send("go", 1), send("go", 2)),
        output=[1, 2],
    ),
    "not_for_a_wait_that_is_over": Case(
        """
        got = []
        for n in (1, 2, 3):
            try:
                got.append(await step.wait_for_event(f"wait {n}", event="go", timeout=5))
            except StepTimedOut:
                got.append(None)
        return got
        """,
        (send("go", "a"), wake, send("go", "c")),
        output=["a", None, "c"],
        results=("wait 1 succeeded", "wait 2 timed_out", "wait 3 succeeded"),
    ),
}
