"""Cases of rollback: what had succeeded is undone."""

from pipelines.job import Outcome
from pipelines.run import RunState
from tests.conformance.stage import Case, cancel, pause, report, wake

FAILED, CANCELLED = Outcome.FAILED, RunState.CANCELLED
UNDO = """
DONE = []
def undo(name):
    async def call(step, result):
        DONE.append(name)
        print(name, result)
        await step.do("undone", lambda: list(DONE))
    return call
"""

ROLLBACK = {
    "last_first": Case(
        """
        for name in "abc":
            await step.do(name, lambda: name, rollback=undo(name))
        raise OSError("too bad")
        """,
        error=("OSError", "too bad"),
        top=UNDO,
        results=(
            *("a succeeded", "b succeeded", "c succeeded"),
            *("c/rollback/undone succeeded", "c/rollback succeeded"),
            *("b/rollback/undone succeeded", "b/rollback succeeded"),
            *("a/rollback/undone succeeded", "a/rollback succeeded"),
        ),
    ),
    "side_by_side_by_their_ends": Case(
        """
        await step.parallel(
            step.job("a", run="a", rollback=undo("a")), step.job("b", run="b", rollback=undo("b"))
        )
        raise OSError("too bad")
        """,
        (report("b"), report("a")),
        error=("OSError", "too bad"),
        top=UNDO,
        results=(
            *("b succeeded", "a succeeded"),
            *("a/rollback/undone succeeded", "a/rollback succeeded"),
            *("b/rollback/undone succeeded", "b/rollback succeeded"),
        ),
    ),
    "with_retries_of_its_own": Case(
        """
        async def down(step, result):
            await step.job("down", run="x", retries=Retry(2, delay=1))
        await step.do("up", lambda: 1, rollback=down)
        raise OSError("too bad")
        """,
        (report("up/rollback/down", FAILED), wake, report("up/rollback/down", attempt=2)),
        error=("OSError", "too bad"),
        jobs=(("up/rollback/down", 1), ("up/rollback/down", 2)),
    ),
    "is_given_the_result": Case(
        """
        seen = []
        async def down(step, result):
            await step.job("down", run=f"remove {result['id']}")
        await step.do("up", lambda: {"id": "db-7"}, rollback=down)
        raise OSError("too bad")
        """,
        (report("up/rollback/down"),),
        error=("OSError", "too bad"),
        jobs=(("up/rollback/down", 1),),
    ),
    "not_for_what_failed": Case(
        """
        await step.do("a", lambda: 1, rollback=undo("a"))
        await step.do("b", int, "no", rollback=undo("b"))
        """,
        error=("ValueError", "no"),
        top=UNDO,
        results=(
            *("a succeeded", "b failed"),
            *("a/rollback/undone succeeded", "a/rollback succeeded"),
        ),
    ),
    "only_where_there_is_one": Case(
        """
        await step.do("a", lambda: 1, rollback=undo("a"))
        await step.do("b", lambda: 2)
        raise OSError("too bad")
        """,
        error=("OSError", "too bad"),
        top=UNDO,
        results=(
            *("a succeeded", "b succeeded"),
            *("a/rollback/undone succeeded", "a/rollback succeeded"),
        ),
    ),
    "one_that_fails_stops_no_other": Case(
        """
        async def broken(step, result):
            raise OSError("no way back")
        await step.do("a", lambda: 1, rollback=undo("a"))
        await step.do("b", lambda: 2, rollback=broken)
        raise LookupError("too bad")
        """,
        error=("LookupError", "too bad"),
        top=UNDO,
        results=(
            *("a succeeded", "b succeeded", "b/rollback failed"),
            *("a/rollback/undone succeeded", "a/rollback succeeded"),
        ),
    ),
    "when_it_is_cancelled": Case(
        """
        await step.job("a", run="a", rollback=undo("a"))
        await step.do("b", lambda: 2, rollback=undo("b"))
        await step.wait_for_event("never")
        """,
        (report("a"), cancel),
        state=CANCELLED,
        top=UNDO,
        results=(
            *("a succeeded", "b succeeded", "never cancelled"),
            *("b/rollback/undone succeeded", "b/rollback succeeded"),
            *("a/rollback/undone succeeded", "a/rollback succeeded"),
        ),
    ),
    "when_it_is_cancelled_and_a_job_still_works": Case(
        """
        await step.do("a", lambda: 1, rollback=undo("a"))
        await step.job("b", run="b", rollback=undo("b"))
        """,
        (cancel, report("b", Outcome.CANCELLED)),
        state=CANCELLED,
        top=UNDO,
        results=(
            *("a succeeded", "b cancelled"),
            *("a/rollback/undone succeeded", "a/rollback succeeded"),
        ),
    ),
    "when_an_error_was_caught_before": Case(
        """
        await step.do("a", lambda: 1, rollback=undo("a"))
        try:
            await step.do("b", int, "no", rollback=undo("b"))
        except ValueError:
            await step.wait_for_event("never")
        """,
        (cancel,),
        state=CANCELLED,
        top=UNDO,
        results=(
            *("a succeeded", "b failed", "never cancelled"),
            *("a/rollback/undone succeeded", "a/rollback succeeded"),
        ),
    ),
    "when_it_is_cancelled_while_paused": Case(
        """
        await step.do("a", lambda: 1, rollback=undo("a"))
        await step.wait_for_event("never")
        """,
        (pause, cancel),
        state=CANCELLED,
        top=UNDO,
        results=(
            *("a succeeded", "never cancelled"),
            *("a/rollback/undone succeeded", "a/rollback succeeded"),
        ),
    ),
    "none_on_success": Case(
        "return await step.do('a', lambda: 1, rollback=undo('a'))",
        output=1,
        top=UNDO,
        results=("a succeeded",),
    ),
}
