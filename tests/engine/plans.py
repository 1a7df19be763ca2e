"""Plans that wait, and what they wait for."""

from pipelines.events import SignalSent

TWO_SIGNALS = """
async def run(event, step):
    first = await step.wait_for_event("go")
    second = await step.wait_for_event("go")
    return [first, second]
"""
ONE_JOB = """
async def run(event, step):
    result = await step.job("build", run="make")
    await step.wait_for_event("go")
    return result.exit_code
"""


def go(payload: object, identity: str | None = None) -> SignalSent:
    return SignalSent(id=identity or f"s{payload}", name="go", payload=payload)
