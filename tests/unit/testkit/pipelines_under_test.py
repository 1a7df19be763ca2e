"""Pipelines that the kit's tests test, each for one thing."""

FILE = ".staunch/pipeline.py"

RELEASE = """
from staunch import JobFailed, Retry, on

on.push(branches=["main", "release/*"])
on.pull_request(branches=["main"])
on.manual(inputs={"percent": int})


def version(commit):
    return f"1.0.0+{commit[:6]}"


async def run(event, step):
    label = await step.do("version", version, event.commit)
    await step.parallel(
        step.job("unit", run=["make", "make test"], env={"VERSION": label}, image="python:3.13"),
        step.job("lint", run="make lint", retries=Retry(2, delay="30s")),
    )
    if event.pull_request is not None:
        return "checked"
    answer = await step.gate("go-live", approvers=["ada", "grace"], timeout="7d")
    await step.sleep("soak", "2h")
    deployed = await step.job("deploy", run="./deploy.sh")
    return {"by": answer.by, "url": deployed.outputs.get("url")}
"""

UNDONE = """
async def undo(step, result):
    await step.job("take-back", run="./take-back.sh")


async def run(event, step):
    await step.job("deploy", run="./deploy.sh", rollback=undo)
    await step.job("smoke", run="./smoke.sh")
"""

MATRIX = """
async def run(event, step):
    await step.parallel(*(step.job(f"test-{n}", run=f"./test {n}") for n in range(3)))
    for region in ("eu", "us"):
        await step.scope(region).job("deploy", run="./deploy.sh")
"""

SIGNALS = """
from staunch import StepTimedOut


async def run(event, step):
    heard = []
    for number in range(2):
        heard.append(await step.wait_for_event(f"go-{number}", event="go"))
    try:
        await step.wait_for_event("never", timeout="1d")
    except StepTimedOut:
        heard.append("nothing")
    return heard
"""

LATE = """
async def run(event, step):
    first = await step.wait_for_event("us", event="go", match={"to": "us"})
    return [first, await step.wait_for_event("any", event="go")]
"""

CALLS = """
from staunch import RunFailed


async def run(event, step):
    try:
        return await step.call("notes", "notes")
    except RunFailed as error:
        return f"no notes: {error}"
"""

CLOCK = """
import time
from datetime import UTC, date, datetime


async def run(event, step):
    before = time.time()
    await step.sleep("night", "12h")
    return [time.time() - before, time.time_ns() // 10**9, datetime.now(UTC).isoformat(),
            date.today().isoformat(), time.strftime("%H", time.gmtime()),
            isinstance(datetime.fromtimestamp(0, UTC), datetime)]
"""

KEPT_OUTSIDE = """
seen = []


def look():
    seen.append(1)
    return 1


async def run(event, step):
    await step.do("look", look)
    await step.sleep("a while", "1m")
    if seen:
        await step.job("one", run="true")
    else:
        await step.job("other", run="true")
"""
