"""What a pipeline imports: triggers, retries, the errors it may catch, the types it is given.

    from staunch import Retry, on

    on.push(branches=["main"])

    async def run(event, step):
        await step.job("test", run="pytest -q", retries=Retry(2, on=["lost"]))

A pipeline is a pure function of its history: it sees no clock, dice, files or network of its own.
`time`, `random` and `uuid` work and give the same again on replay; effects belong into jobs.
"""

from staunch.artifacts import Artifact
from staunch.caches import Cache
from staunch.deadline import run_timeout
from staunch.errors import (
    GateRejected,
    GateTimedOut,
    JobFailed,
    NonRetryable,
    RetryAfter,
    RunFailed,
    StepTimedOut,
)
from staunch.event import Event, MergeGroup, PullRequest, Release, Scheduled
from staunch.inputs import Choice, Input
from staunch.matrix import Cell, matrix
from staunch.results import First, GateAnswer, JobResult, Received
from staunch.retry import Retry
from staunch.services import Service
from staunch.shell import Shell, shell
from staunch.step import Step
from staunch.triggers import on
from staunch.usage import Usage

__all__ = [
    "Artifact",
    "Cache",
    "Cell",
    "Choice",
    "Event",
    "First",
    "GateAnswer",
    "GateRejected",
    "GateTimedOut",
    "Input",
    "JobFailed",
    "JobResult",
    "MergeGroup",
    "NonRetryable",
    "PullRequest",
    "Received",
    "Release",
    "Retry",
    "RetryAfter",
    "RunFailed",
    "Scheduled",
    "Service",
    "Shell",
    "Step",
    "StepTimedOut",
    "Usage",
    "matrix",
    "on",
    "run_timeout",
    "shell",
]
