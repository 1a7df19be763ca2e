"""Told runs: Runs in the states that pages are looked at in: one waits, one has failed, one is at
work. How a Run is told Turn by Turn is `world`'s."""

from collections.abc import Sequence
from typing import Any

from pipelines.commands import Command, GateTerms, Open, OpenGate, OpenJob, Result, StepKind
from pipelines.commands import StepState as Is
from pipelines.failure import Failure
from pipelines.job import Annotation, Outcome
from pipelines.run import RunState
from pipelines.turn import End
from tests.web.world import Story, World, job


def gate_open(key: str, terms: GateTerms, approved_by: Sequence[str] = ()) -> Open:
    """Nothing but this gate is wanted."""
    return Open(gates=[OpenGate(key=key, terms=terms, approved_by=list(approved_by))])


TERMS = GateTerms(
    approvers=["@ops"],
    inputs={"percent": "int", "share": "float", "note": "str", "sure": "bool"},
    message="May it go out?",
)


async def waiting_run(
    world: World, number: int = 1, *, terms: GateTerms = TERMS, **event: Any
) -> Story:
    """A job succeeded; the gate `approve` waits."""
    story = await Story(world, number).begin(**event)
    await story.turn(job("unit"), wanted=Open(jobs=[OpenJob(key="unit", attempt=1)]))
    story.later().claim("unit")
    world.write_log(story.job_id("unit"), "=== make test\nall is well\n")
    await story.later(3).finish("unit")
    await story.turn(
        Command(kind=StepKind.GATE, key="approve", fingerprint="g", gate=terms),
        results=[Result(kind=StepKind.JOB, key="unit", state=Is.SUCCEEDED)],
        wanted=gate_open("approve", terms),
    )
    return story


async def failed_run(
    world: World,
    number: int = 2,
    *,
    log: str = "=== make test\nFAIL: it is not 4\n",
    annotations: Sequence[Annotation] = (),
    message: str = "job 'unit' failed with exit code 1",
    **event: Any,
) -> Story:
    """A job that failed, and the Run with it."""
    story = await Story(world, number).begin(**event)
    await story.turn(job("unit"), wanted=Open(jobs=[OpenJob(key="unit", attempt=1)]))
    story.later().claim("unit")
    world.write_log(story.job_id("unit"), log)
    await story.later(3).finish("unit", Outcome.FAILED, annotations=annotations, message="exit 1")
    failure = Failure(
        type="JobFailed", message=message, file=".staunch/pipeline.py", line=12, step="unit"
    )
    await story.turn(
        results=[Result(kind=StepKind.JOB, key="unit", state=Is.FAILED, error=failure)],
        end=End(state=RunState.FAILED, error=failure),
    )
    return story


async def running_run(world: World, number: int = 3, **event: Any) -> Story:
    """A job that is at work."""
    story = await Story(world, number).begin(**event)
    await story.turn(job("eu/unit"), wanted=Open(jobs=[OpenJob(key="eu/unit", attempt=1)]))
    story.later().claim("eu/unit")
    world.write_log(story.job_id("eu/unit"), "=== make test\n\x1b[32mgreen\x1b[0m so far\n")
    story.later()
    return story
