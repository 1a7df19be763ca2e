"""Test pipelines in pytest: `from staunch.testing import PipelineTest`. Not in the sandbox.

    test = PipelineTest(".staunch/pipeline.py")
    test.job("unit", exit_code=1)
    result = test.run(push(branch="main"))
    assert result.state == "failed"

The Run is decided by the same driver that runs in the sandbox, and no host is needed. How it works
is in `ci_host/testkit/`; this module only has the names that a test may rely on.
"""

from ci_host.testkit.errors import (
    BrokenPipeline,
    KitFailure,
    Nondeterministic,
    NotTriggered,
    Unanswered,
    Unused,
    WrongAnswer,
)
from ci_host.testkit.events import (
    Start,
    manual,
    merge_group,
    pull_request,
    push,
    release,
    schedule,
    tag,
)
from ci_host.testkit.kit import PipelineTest
from ci_host.testkit.outcome import JobRecord, Result, StatusRecord, StepRecord

__all__ = [
    "BrokenPipeline",
    "JobRecord",
    "KitFailure",
    "Nondeterministic",
    "NotTriggered",
    "PipelineTest",
    "Result",
    "Start",
    "StatusRecord",
    "StepRecord",
    "Unanswered",
    "Unused",
    "WrongAnswer",
    "manual",
    "merge_group",
    "pull_request",
    "push",
    "release",
    "schedule",
    "tag",
]
