"""Plans: the pipelines of the chaos test, each with what it must return in the end.

Every attempt of a job notes itself in a file named by its id: what was done twice outside the
sandbox shows there and nowhere else.
"""

NOTE = 'echo ran >> "/volumes/effects/$STAUNCH_JOB_ID"'

STEPS = f"""\
NOTE = '''{NOTE}'''


async def run(event, step):
    await step.parallel(
        step.job("left", run=NOTE, volumes=["effects"], checkout=False),
        step.job("right", run=[NOTE, "sleep 0.3"], volumes=["effects"], checkout=False),
    )
    total = 0
    for number in range(10):
        total += await step.do("add", lambda: number)
    await step.sleep("rest", "0.5s")
    await step.job("last", run=NOTE, volumes=["effects"], checkout=False)
    return total
"""

GATED = f"""\
NOTE = '''{NOTE}'''


async def run(event, step):
    await step.job("build", run=NOTE, volumes=["effects"])
    answer = await step.gate("approve", inputs={{"percent": int}}, timeout="1d")
    await step.job("deploy", run=NOTE, volumes=["effects"], checkout=False)
    return answer.inputs["percent"]
"""

# The signal comes several times under one id, so the second wait must find nothing.
SIGNALLED = """\
import asyncio


async def run(event, step):
    said = await step.wait_for_event("go")
    try:
        async with asyncio.timeout(0.4):
            await step.wait_for_event("again", event="go")
    except TimeoutError:
        return await step.do("once", lambda: said["number"] * 2)
    return "the same signal was taken twice"
"""

RETRIED = f"""\
from staunch import Retry

NOTE = '''{NOTE}'''


async def run(event, step):
    result = await step.job(
        "flaky",
        run=[NOTE, 'test "$STAUNCH_ATTEMPT" -ge 3'],
        volumes=["effects"],
        checkout=False,
        retries=Retry(3, delay="0.2s", backoff="constant", on=["failed"]),
    )
    return result.attempt
"""

LIMITED = f"""\
import asyncio

NOTE = '''{NOTE}'''


async def run(event, step):
    async def late():
        try:
            async with asyncio.timeout(0.8):
                await step.job("slow", run=[NOTE, "sleep 600"], volumes=["effects"], checkout=False)
        except TimeoutError:
            return "late"

    async def calm():
        async with asyncio.timeout(3600):
            await step.job("quick", run=NOTE, volumes=["effects"], checkout=False)
        await step.sleep("rest", "0.3s")
        return "calm"

    return await asyncio.gather(late(), calm())
"""

# Its child is a run of its own, that nobody else asks for.
FAMILY = """\
async def run(event, step):
    tripled = await step.call("leaf", "leaf", {"number": 7})
    return await step.do("double", lambda: tripled * 2)
"""

LEAF = f"""\
from staunch import on

NOTE = '''{NOTE}'''

on.manual(inputs={{"number": int}})


async def run(event, step):
    await step.job("work", run=NOTE, volumes=["effects"], checkout=False)
    return event.inputs["number"] * 3
"""

# One at a time of all that are asked for.
GROUPED = """\
from staunch import on

on.push()
on.concurrency("the-only-one")


async def run(event, step):
    await step.do("before", lambda: None)
    await step.sleep("rest", "0.05s")
    return await step.do("after", lambda: "alone")
"""

FILES = {
    ".staunch/steps.py": STEPS,
    ".staunch/gated.py": GATED,
    ".staunch/signalled.py": SIGNALLED,
    ".staunch/retried.py": RETRIED,
    ".staunch/limited.py": LIMITED,
    ".staunch/family.py": FAMILY,
    ".staunch/leaf.py": LEAF,
    ".staunch/grouped.py": GROUPED,
}

# The pipelines that a push begins.
PUSHED = ("steps", "gated", "signalled", "retried", "limited", "family", "grouped")

OUTPUTS: dict[str, object] = {
    "steps": 45,
    "gated": 25,
    "signalled": 42,
    "retried": 3,
    "limited": ["late", "calm"],
    "family": 42,
    "leaf": 21,
    "grouped": "alone",
}

# How each attempt of each job must have ended.
OUTCOMES = {
    "steps": {("left", 1): "succeeded", ("right", 1): "succeeded", ("last", 1): "succeeded"},
    "gated": {("build", 1): "succeeded", ("deploy", 1): "succeeded"},
    "signalled": {},
    "retried": {("flaky", 1): "failed", ("flaky", 2): "failed", ("flaky", 3): "succeeded"},
    "limited": {("slow", 1): "cancelled", ("quick", 1): "succeeded"},
    "family": {},
    "leaf": {("work", 1): "succeeded"},
    "grouped": {},
}
