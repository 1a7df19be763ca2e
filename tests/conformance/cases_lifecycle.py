"""Cases of what people do to a Run: pause, resume, cancel and kill."""

from pipelines.job import Outcome
from pipelines.run import RunState
from tests.conformance.stage import (
    Case,
    approve,
    cancel,
    holds,
    kill,
    later,
    not_offered,
    pause,
    report,
    resume,
    send,
    wake,
)

FAILED = Outcome.FAILED
PAUSED, RUNNING, CANCELLED = RunState.PAUSED, RunState.RUNNING, RunState.CANCELLED

LIFECYCLE = {
    "paused_while_a_job_works": Case(
        """
        first = await step.job("first", run="x")
        second = await step.job("second", run="y")
        return [first.exit_code, second.exit_code]
        """,
        (pause, report("first"), holds(PAUSED), not_offered("second"), resume, report("second")),
        output=[0, 0],
        jobs=(("first", 1), ("second", 1)),
    ),
    "paused_while_several_work": Case(
        """
        await step.parallel(step.job("a", run="a"), step.job("b", run="b"))
        return (await step.job("c", run="c")).exit_code
        """,
        (pause, report("a"), report("b"), holds(PAUSED), not_offered("c"), resume, report("c")),
        output=0,
        jobs=(("a", 1), ("b", 1), ("c", 1)),
    ),
    "resumed_before_the_job_ends": Case(
        """
        await step.job("first", run="x")
        return (await step.job("second", run="y")).name
        """,
        (pause, resume, holds(RUNNING), report("first"), report("second")),
        output="second",
    ),
    "resumed_lets_all_branches_go_on": Case(
        """
        async def branch(name):
            await step.job(name, run="x")
            return (await step.job(f"{name}2", run="y")).name
        return await asyncio.gather(branch("a"), branch("b"))
        """,
        (pause, resume, report("a"), report("b"), report("b2"), report("a2")),
        output=["a2", "b2"],
    ),
    "paused_in_a_sleep": Case(
        "await step.sleep('rest', 100)\nreturn (await step.job('x', run='x')).name",
        (pause, later(200), holds(PAUSED), not_offered("x"), resume, report("x")),
        output="x",
    ),
    "paused_in_a_sleep_and_resumed_in_it": Case(
        "began = now()\nawait step.sleep('rest', 100)\nreturn now() - began",
        (pause, later(50), resume, holds(RUNNING), wake),
        output=100,
    ),
    "paused_in_a_wait": Case(
        "return await step.wait_for_event('go')",
        (pause, send("go", "kept"), holds(PAUSED), resume),
        output="kept",
    ),
    "paused_in_a_wait_and_told_afterwards": Case(
        "return await step.wait_for_event('go')",
        (pause, resume, send("go", "after")),
        output="after",
    ),
    "paused_at_a_gate": Case(
        "return (await step.gate('g')).by",
        (pause, approve("g"), holds(PAUSED), resume),
        output=["ada"],
    ),
    "paused_in_a_retry": Case(
        "return (await step.job('x', run='x', retries=Retry(2, delay=5))).attempt",
        (report("x", FAILED), pause, later(60), holds(PAUSED), resume, report("x", attempt=2)),
        output=2,
    ),
    "cancelled_while_a_job_works": Case(
        "await step.job('x', run='x')\nawait step.job('y', run='y')",
        (cancel, report("x", Outcome.CANCELLED)),
        state=CANCELLED,
        jobs=(("x", 1),),
    ),
    "cancelled_in_a_sleep": Case(
        "await step.sleep('rest', '30d')", (cancel,), state=CANCELLED, results=("rest cancelled",)
    ),
    "cancelled_in_a_wait": Case("await step.wait_for_event('go')", (cancel,), state=CANCELLED),
    "cancelled_in_a_retry": Case(
        "await step.job('x', run='x', retries=Retry(9, delay=60))",
        (report("x", FAILED), cancel),
        state=CANCELLED,
        jobs=(("x", 1),),
    ),
    "cancelled_in_an_attempt_with_a_time_out": Case(
        "await step.do('x', asyncio.sleep, 100, timeout=50)",
        (cancel,),
        state=CANCELLED,
        results=("x cancelled",),
    ),
    "cancelled_and_cleaned_up": Case(
        """
        try:
            await step.wait_for_event("never")
        finally:
            await step.job("clean", run="x")
        """,
        (cancel, report("clean")),
        state=CANCELLED,
        jobs=(("clean", 1),),
    ),
    "cancelled_before_it_begins": Case(
        "await step.job('x', run='x')", (cancel,), state=CANCELLED, early=True
    ),
    "killed_in_a_wait": Case(
        """
        try:
            await step.wait_for_event("never")
        finally:
            await step.job("clean", run="x")
        """,
        (kill,),
        state=CANCELLED,
        jobs=(),
    ),
    "killed_while_paused": Case(
        "await step.wait_for_event('never')", (pause, kill), state=CANCELLED
    ),
    "cancelled_in_an_attempt_whose_cleanup_outlasts_its_time": Case(
        """
        async def body():
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(60)
        await step.do("x", body, timeout=50)
        """,
        (later(10), cancel, wake),
        state=CANCELLED,
        results=("x cancelled",),
    ),
    "seen_while_it_waits": Case(
        "return await step.wait_for_event('go')", (holds(RUNNING), send("go", 1)), output=1
    ),
    "undone_only_if_it_was_not_finished": Case(
        """
        finished = False
        try:
            await step.do("start", lambda: 1)
            await step.job("complete", run="x")
            finished = True
        finally:
            if not finished:
                await step.do("abort", lambda: 2)
        """,
        (report("complete"),),
        results=("start succeeded", "complete succeeded"),
    ),
    "undone_as_it_was_not_finished": Case(
        """
        finished = False
        try:
            await step.do("start", lambda: 1)
            await step.job("complete", run="x")
            finished = True
        finally:
            if not finished:
                await step.do("abort", lambda: 2)
        """,
        (report("complete", FAILED),),
        error=("JobFailed", "complete"),
        results=("start succeeded", "complete failed", "abort succeeded"),
    ),
}
