"""Cases of pipelines that run pipelines: what is given, what comes back, and who outlives whom."""

from pipelines.job import Outcome
from pipelines.run import RunState
from tests.conformance.stage import Case, cancel, report_below, send, wake

CALLED = """
async def run(event, step):
    result = await step.job("make", run="make")
    return [event.inputs["target"], result.attempt]
"""
BROKEN = (
    "class Worn(Exception):\n    pass\n\nasync def run(event, step):\n    raise Worn('no disk')\n"
)
ECHO = "async def run(event, step):\n    return event.inputs\n"

CALLS = {
    "is_given_its_inputs": Case(
        "return await step.call('echo', 'echo', {'n': [1, {'deep': None}], 'status': 'begins'})",
        output={"n": [1, {"deep": None}], "status": "begins"},
        beside={"echo": ECHO},
    ),
    "gives_what_it_returns": Case(
        "return await step.call('build', 'build', {'target': 'arm'})",
        (report_below("make"),),
        output=["arm", 1],
        beside={"build": CALLED},
    ),
    "fails": Case(
        """
        try:
            await step.call("build", "build")
        except RunFailed as error:
            return [error.state, error.message]
        """,
        output=["failed", "Worn: no disk"],
        beside={"build": BROKEN},
    ),
    "several_side_by_side": Case(
        """
        calls = [step.call(f"echo{n}", "echo", {"n": n}) for n in range(5)]
        return [answer["n"] for answer in await step.parallel(*calls)]
        """,
        output=[0, 1, 2, 3, 4],
        beside={"echo": ECHO},
    ),
    "several_begun_at_once": Case(
        """
        runs = [await step.start(f"echo{n}", "echo", {"n": n}) for n in range(3)]
        return len(set(runs))
        """,
        output=3,
        beside={"echo": ECHO},
    ),
    "a_pipeline_that_there_is_not": Case(
        "await step.call('x', 'nowhere')", error=("ValueError", "nowhere"), results=()
    ),
    "calls_before_it_waits_itself": Case(
        """
        given = await step.call("echo", "echo", {"n": 1})
        return [given["n"], await step.wait_for_event("go")]
        """,
        (send("go", 2),),
        output=[1, 2],
        beside={"echo": ECHO},
    ),
    "is_cancelled_with_its_caller": Case(
        "await step.call('build', 'build', {'target': 'arm'})",
        (cancel, report_below("make", Outcome.CANCELLED)),
        state=RunState.CANCELLED,
        beside={"build": CALLED},
    ),
    "is_cancelled_when_its_caller_is_late": Case(
        "await step.call('build', 'build', {'target': 'arm'})",
        (wake, report_below("make", Outcome.CANCELLED)),
        error=("RunTimedOut", "600 s"),
        top="run_timeout('10m')",
        beside={"build": CALLED},
    ),
    "that_one_goes_on_when_its_caller_is_late": Case(
        """
        await step.start("build", "build", {"target": "arm"})
        await step.wait_for_event("never")
        """,
        (wake, report_below("make")),
        error=("RunTimedOut", "600 s"),
        top="run_timeout('10m')",
        beside={"build": CALLED},
    ),
}
