"""Shapes: Runs of the kinds that a page has to show well: a release with everything, a wide one."""

from pipelines.commands import (
    Command,
    GateTerms,
    Open,
    OpenGate,
    OpenJob,
    OpenPause,
    Result,
    StepKind,
)
from pipelines.commands import StepState as Is
from pipelines.events import GateAnswered, TimerFired
from pipelines.failure import Failure
from pipelines.job import Annotation, Outcome
from pipelines.run import RunState
from pipelines.turn import End
from tests.web.world import Story, World, job

CELLS = [f"python={version},os={name}" for version in ("3.11", "3.12", "3.13", "3.14")
         for name in ("debian", "alpine")]  # fmt: skip
TERMS = GateTerms(approvers=["@ops"], inputs={"percent": "int"}, message="May it go out?")


def ended(key: str, state: Is = Is.SUCCEEDED, **more) -> Result:
    """A job that settled."""
    return Result(kind=StepKind.JOB, key=key, state=state, **more)


def failure(step: str, message: str = "") -> Failure:
    """As a plan sees a job that broke."""
    said = message or f"job {step!r} failed with exit code 1"
    return Failure(type="JobFailed", message=said, file=".staunch/pipeline.py", line=24, step=step)


def wanting(*keys: str, **more) -> Open:
    """These jobs are open."""
    return Open(jobs=[OpenJob(key=key, attempt=1) for key in keys], **more)


async def release(world: World, number: int = 5, *, breaks: bool = False) -> Story:
    """Code, a matrix, a retry, a restart, a gate, a sleep, two regions; it broke, or goes on."""
    story = await Story(world, number).begin(sender="ada", message="Ship the new cart")
    tests = [f"test/{cell}" for cell in CELLS]
    plan = Command(kind=StepKind.DO, key="plan", fingerprint="f")
    await story.turn(
        plan, *(job(key) for key in ("lint", *tests)),
        results=[Result(kind=StepKind.DO, key="plan", state=Is.SUCCEEDED, value=[1, 2])],
        wanted=wanting("lint", *tests),
    )  # fmt: skip
    for key in ("lint", *tests):
        story.later(0.6).claim(key)
    story.later(9)
    await story.finish("lint", message="")
    await story.turn(results=[ended("lint")], wanted=wanting(*tests))
    flaky = tests[3]
    for index, key in enumerate(one for one in tests if one != flaky):
        await story.later(2 + index % 3).finish(key)
        await story.turn(results=[ended(key)])
    write_try(
        story, flaky, 1, "E   TimeoutError: no answer of db:5432 within 10 s\n1 failed in 31.02s\n"
    )
    await story.finish(flaky, Outcome.LOST, message="its runner went away")
    pause = Open(pauses=[OpenPause(key=flaky, attempt=2, due=story.world.clock() + 10)])
    await story.turn(results=[ended(flaky, Is.RETRYING)], wanted=pause)
    story.later(4)
    for role in ("host", "engine"):
        world.restarted(role, world.clock())
    story.engine = "engine-2"
    await story.later(6).happens(TimerFired(due=story.world.clock()))
    await story.turn(job(flaky, 2), wanted=Open(jobs=[OpenJob(key=flaky, attempt=2)]))
    story.later(2).claim(flaky, 2)
    write_try(story, flaky, 2, "121 passed in 11.40s\n")
    await story.later(12).finish(flaky, attempt=2)
    await story.turn(job("image"), results=[ended(flaky, attempt=2)], wanted=wanting("image"))
    story.later().claim("image")
    await story.later(21).finish("image")
    gate = Command(kind=StepKind.GATE, key="ship", fingerprint="g", gate=TERMS)
    opened = Open(gates=[OpenGate(key="ship", terms=TERMS)])
    await story.turn(gate, results=[ended("image")], wanted=opened)
    await _regions(world, story.later(5400), breaks)
    return story


def write_try(story: Story, key: str, attempt: int, end: str) -> None:
    """A log of which all but the end is said by every attempt, each in its own time."""
    same = "".join(f"tests/test_{n}.py ....... [{n}%]\n" for n in range(1, 40))
    begin = f"=== pytest\ncollected 121 items in 0.{attempt}2s\n"
    story.world.write_log(story.job_id(key, attempt), begin + same + end)


async def _regions(world: World, story: Story, breaks: bool) -> None:
    given = {"by": ["grace"], "inputs": {"percent": 25}, "comment": "go"}
    await story.happens(GateAnswered(id="a", key="ship", approved=True, **given | {"by": "grace"}))
    approved = Result(kind=StepKind.GATE, key="ship", state=Is.SUCCEEDED, value=given)
    await story.turn(
        job("eu/deploy"), job("us/deploy"), results=[approved],
        wanted=wanting("eu/deploy", "us/deploy"),
    )  # fmt: skip
    story.later().claim("eu/deploy").claim("us/deploy")
    log = "".join(f"\x1b[2m{n:02}\x1b[0m rolling out pod web-{n}\n" for n in range(1, 60))
    broken = "Error: pod web-59 is not ready after 60 s: CrashLoopBackOff\n"
    world.write_log(story.job_id("us/deploy"), f"=== ./deploy.sh us\n{log}{broken}")
    await story.later(14).finish("eu/deploy")
    sleep = Command(kind=StepKind.SLEEP, key="eu/soak", fingerprint="s", due=world.clock() + 60)
    await story.turn(sleep, results=[ended("eu/deploy")], wanted=wanting("us/deploy"), wake_at=1.0)
    if not breaks:
        story.later(9)
        return
    note = Annotation(file="deploy/web.py", line=88, title="CrashLoopBackOff",
                      message="cart: KeyError: 'total'")  # fmt: skip
    await story.later(9).finish("us/deploy", Outcome.FAILED, annotations=[note], message="exit 1")
    why = failure("us/deploy")
    end = End(state=RunState.FAILED, error=why)
    await story.turn(results=[ended("us/deploy", Is.FAILED, error=why)], end=end)


async def chain(world: World, number: int = 6) -> Story:
    """Three jobs, one after the other; the last is at work."""
    story = await Story(world, number).begin(message="A small change")
    keys = ("build", "test", "publish")
    for index, key in enumerate(keys):
        done = [ended(keys[index - 1])] if index else []
        await story.turn(job(key), results=done, wanted=wanting(key))
        story.later(1.5).claim(key)
        if key != keys[-1]:
            await story.later(7 + 4 * index).finish(key)
    story.later(5)
    return story


async def wide(world: World, steps: int = 500, number: int = 7, *, breaks: bool = True) -> Story:
    """A plan, `steps` less ten jobs in shards of two, and what follows; one of them broke."""
    story = await Story(world, number).begin(message="All shards of the monorepo")
    shards = [f"shard-{n:03}" for n in range((steps - 2) // 2)]
    builds = [f"{one}/build" for one in shards]
    plan = Command(kind=StepKind.DO, key="plan", fingerprint="f")
    await story.turn(
        plan, *(job(key) for key in builds),
        results=[Result(kind=StepKind.DO, key="plan", state=Is.SUCCEEDED)], wanted=wanting(*builds),
    )  # fmt: skip
    for index, key in enumerate(builds):
        story.later(0.05).claim(key)
        if index >= 20:
            await _tested(story, shards[index - 20])
    for shard in shards[-20:]:
        await _tested(story.later(0.4), shard)
    for index, shard in enumerate(shards):
        bad = breaks and index == len(shards) // 2
        await _shard_over(story.later(0.1), f"{shard}/test", bad)
    await story.turn(job("report"), wanted=wanting("report"))
    story.later().claim("report")
    await story.later(2).finish("report")
    why = failure(f"{shards[len(shards) // 2]}/test")
    end = End(state=RunState.FAILED, error=why) if breaks else End(state=RunState.SUCCEEDED)
    await story.turn(results=[ended("report")], end=end)
    return story


async def _tested(story: Story, shard: str) -> None:
    await story.finish(f"{shard}/build")
    await story.turn(job(f"{shard}/test"), results=[ended(f"{shard}/build")])
    story.later(0.02).claim(f"{shard}/test")


async def _shard_over(story: Story, key: str, bad: bool) -> None:
    await story.finish(key, Outcome.FAILED if bad else Outcome.SUCCEEDED)
    error = {"error": failure(key)} if bad else {}
    await story.turn(results=[ended(key, Is.FAILED if bad else Is.SUCCEEDED, **error)])
