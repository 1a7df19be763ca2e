"""The guest stands alone, so it repeats a few words of `pipelines`: here they are held equal."""

from typing import get_args

import msgspec
import pytest
import staunch
from staunch import jobs, priority, retry, services, shell, standby
from staunch.artifacts import Artifact
from staunch.caches import Cache
from staunch.durations import seconds
from staunch.services import Service
from staunch.step import VERBS, Step

from pipelines import failure, job, service
from pipelines.commands import StepState
from pipelines.guest import limits
from pipelines.job import JobRequest, Outcome, ShellStep
from pipelines.priority import LEVELS
from pipelines.shell import WAIT_S_MAX


def test_limits_that_are_said_twice_are_equal():
    assert limits.MESSAGE_CHARS_MAX == failure.MESSAGE_CHARS_MAX
    assert limits.TRACEBACK_CHARS_MAX == failure.TRACEBACK_CHARS_MAX
    assert jobs.TIMEOUT_S_DEFAULT == job.JOB_TIMEOUT_S_DEFAULT
    assert services.READY_S_DEFAULT == service.READY_S_DEFAULT
    assert services._NAME.pattern == service.NAME.pattern
    assert standby.WAIT_S_MAX == WAIT_S_MAX
    assert shell.__module__ == "staunch.shell"


def test_the_levels_of_a_priority_are_these_the_first_to_go_first():
    assert get_args(priority.Level) == LEVELS == ("urgent", "high", "normal", "low")


def test_every_outcome_of_a_job_has_a_state():
    assert set(jobs.STATES) == {str(one) for one in Outcome}
    assert {state for state, _ in jobs.STATES.values()} <= {str(one) for one in StepState}
    assert set(retry.OUTCOMES) == {str(one) for one in Outcome} - {"succeeded"}


def test_a_request_has_every_field_and_no_other():
    files = [Artifact("dist", "0" * 64, 1, 1)]
    reports, kept = {"junit": "*.xml"}, {"dist": "dist"}
    more = (reports, kept, files, [Cache("a", "x")], ["DEPLOY_KEY"], "production")
    more = (*more, "egress", ["example.org"], "sts.example.org", "2g", "10g", "a", "sandbox")
    more = (*more, {"db": Service(run="true")})
    more = (*more, "30m", ["@ops"], ["arm64"])
    request = jobs.request("true", None, ".", 1, "default", (), True, *more)
    assert set(request) == set(JobRequest.__struct_fields__)
    assert set(request["steps"][0]) == set(ShellStep.__struct_fields__)
    assert msgspec.convert(request, JobRequest).steps[0].run == "true"


def test_the_verbs_that_are_offered_exist():
    assert all(callable(getattr(Step, verb)) for verb in VERBS)


def test_the_public_names_are_these():
    assert staunch.__all__ == sorted(staunch.__all__)
    assert {"on", "Retry", "Step", "Event", "shell", "JobFailed"} <= set(staunch.__all__)
    assert all(hasattr(staunch, name) for name in staunch.__all__)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("250ms", 0.25), ("90s", 90.0), ("20m", 1200.0), ("2h", 7200.0), ("7d", 604800.0), (1.5, 1.5)],
)
def test_a_duration_is_a_number_or_a_text_with_its_unit(text, wanted):
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1 year", "1h30m", "nan", float("inf"), -1])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"no duration|between 0"):
        seconds(text)


@pytest.mark.parametrize(
    ("backoff", "pauses"),
    [("constant", [10, 10, 10]), ("linear", [10, 20, 30]), ("exponential", [10, 20, 40])],
)
def test_a_pause_grows_as_its_backoff_says_up_to_its_maximum(backoff, pauses):
    import random

    one = staunch.Retry(9, delay=10, backoff=backoff, jitter=False, max_delay=35)
    dice = random.Random(1)
    assert [one.pause(n, dice) for n in (1, 2, 3)] == [min(p, 35) for p in pauses]
