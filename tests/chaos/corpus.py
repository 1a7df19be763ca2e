"""Corpus: pipelines that use every verb between them, for deaths at every message."""

STEPS = """
from staunch import Retry


async def run(event, step):
    step.set("at work", done=1, total=2)
    first = "never"
    try:
        await step.do("flaky", lambda: 1 / 0, retries=Retry(2, delay="0.01s"))
    except ZeroDivisionError:
        first = "given up"
    await step.sleep("rest", "0.02s")
    await step.sleep_until("long ago", 1.0)
    secret = await step.do("secret", lambda: "hush", sensitive=True)
    said = await step.wait_for_event("go", match={"number": 21})
    return [first, len(secret), said["number"] * 2]
"""

JOBS = """
import asyncio

from staunch import matrix


async def run(event, step):
    await step.parallel(
        *(step.job(f"test {one.name}", run="make") for one in matrix(python=["3.11", "3.12"])),
        limit=1,
    )
    answer = await step.gate("deploy", approvers=["ada"], timeout="1d")
    late = "in time"
    try:
        async with asyncio.timeout(0.05):
            await step.wait_for_event("never")
    except TimeoutError:
        late = "too late"
    which, _ = await step.first(
        quick=step.job("quick", run="true"), nobody=step.wait_for_event("nobody")
    )
    return [answer.by, late, which]
"""

FAMILY = """
from staunch import on

on.push()
on.concurrency("one")


async def run(event, step):
    doubled = await step.call("double", "leaf", {"number": 4})
    await step.start("beside", "leaf", {"number": 1})
    return doubled
"""

UNDONE = """
async def unmake(step, made):
    await step.job("unmake", run="unmake")


async def run(event, step):
    await step.do("made", lambda: "thing", rollback=unmake)
    await step.do("broken", lambda: 1 / 0)
"""

# Its first Turn is larger than what goes in one message.
LARGE = """
async def run(event, step):
    texts = [await step.do(f"text {n}", lambda n=n: str(n) * 700_000) for n in range(2)]
    said = await step.wait_for_event("go", match={"number": 21})
    return [sum(map(len, texts)), said["number"]]
"""

LEAF = """
async def run(event, step):
    return await step.do("double", lambda: event.inputs["number"] * 2)
"""

CORPUS = {"steps": STEPS, "jobs": JOBS, "family": FAMILY, "undone": UNDONE, "large": LARGE}
BESIDE = {"leaf": LEAF}
ENDS: dict[str, object] = {
    "steps": ["given up", 4, 42],
    "jobs": [["ada"], "too late", "quick"],
    "family": 8,
    "undone": "ZeroDivisionError",
    "large": [1_400_000, 21],
}
